using Aperture.Devices.Pc;
using Aperture.TestKit.Devices;
using FsCheck;
using FsCheck.Fluent;

namespace Aperture.Devices.Tests;

/// <summary>The device that test kernels drive.</summary>
public class PcTestDeviceTests
{
    private readonly FakeLine[] _lines = [.. Enumerable.Range(0, PcTestDevice.Lines).Select(_ => new FakeLine())];

    private PcTestDevice Device() => new(input => _lines[input]);

    [Fact]
    public void The_register_reads_by_any_size_what_was_written_by_any_at_both_of_its_places()
    {
        Gen<(int Offset, int Size, ulong Value, bool Again)> accesses =
            from size in Gen.Elements(1, 2, 4)
            from offset in Gen.Choose(0, 4 - size)
            from value in Gen.Choose(int.MinValue, int.MaxValue)
            from again in Gen.Elements(false, true)
            select (offset, size, (ulong)(uint)value, again);
        Prop.ForAll(accesses.ListOf().ToArbitrary(), list =>
        {
            IAccessHandler register = Device().Registers;
            byte[] oracle = new byte[4];
            foreach ((int offset, int size, ulong value, bool again) in list)
            {
                ulong at = (ulong)(offset + (again ? 8 : 0));
                Assert.Equal(AccessResult.Ok, register.Write(at, size, value));
                BitConverter.GetBytes(value).AsSpan(0, size).CopyTo(oracle.AsSpan(offset));
                Assert.Equal(AccessResult.Ok, register.Read(at ^ 8, size, out ulong read));
                Assert.Equal(value & AccessWidth.AllOnes(size), read);
                Assert.Equal(AccessResult.Ok, register.Read(8, 4, out read));
                Assert.Equal(BitConverter.ToUInt32(oracle), read);
            }
        }).Holds();
    }

    [Theory]
    [InlineData(4, 4, true)]
    [InlineData(4, 1, false)]
    [InlineData(5, 4, false)]
    [InlineData(2, 4, false)]
    [InlineData(0, 8, false)]
    [InlineData(12, 1, false)]
    [InlineData(ulong.MaxValue, 1, false)]
    public void What_is_neither_the_register_nor_a_whole_pages_address_is_nobodys(ulong offset, int size, bool taken)
    {
        IAccessHandler register = Device().Registers;
        Assert.Equal(taken ? AccessResult.Ok : AccessResult.Unclaimed, register.Write(offset, size, ulong.MaxValue));
        Assert.Equal(AccessResult.Unclaimed, register.Read(offset, size, out ulong read));
        Assert.Equal(ulong.MaxValue, read);
        register.Read(0, 4, out read);
        Assert.Equal(0UL, read);
    }

    [Fact]
    public void A_byte_at_a_line_port_is_the_level_of_that_input_alone_and_a_reset_lowers_all()
    {
        PcTestDevice device = Device();
        Assert.Equal(AccessResult.Ok, device.Inputs.Write(23, 1, 0x180));
        Assert.Equal(AccessResult.Ok, device.Inputs.Write(4, 1, 1));
        Assert.Equal(AccessResult.Ok, device.Inputs.Write(4, 1, 0x100));
        Assert.Equal([(23, 1)], _lines.Index().Where(l => l.Item.Level).Select(l => (l.Index, l.Item.Edges)));
        Assert.Equal(2, _lines[4].Edges);
        Assert.Equal(AccessResult.Unclaimed, device.Inputs.Write(4, 2, 1));
        Assert.Equal(AccessResult.Unclaimed, device.Inputs.Write(24, 1, 1));
        Assert.Equal(AccessResult.Unclaimed, device.Inputs.Read(4, 1, out _));
        device.Reset();
        Assert.DoesNotContain(_lines, l => l.Level);
    }

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(4)]
    [InlineData(8)]
    public void The_memory_keeps_what_is_written_up_to_its_last_byte(int size)
    {
        PcTestDevice device = Device();
        ulong last = (ulong)(PcTestDevice.MemorySize - size);
        Assert.Equal(AccessResult.Ok, device.Memory.Write(last, size, 0x8877_6655_4433_2211));
        Assert.Equal(AccessResult.Ok, device.Memory.Read(last, size, out ulong read));
        Assert.Equal(0x8877_6655_4433_2211 & AccessWidth.AllOnes(size), read);
        Assert.Equal(AccessResult.Unclaimed, device.Memory.Write(last + 1, size, 0));
        Assert.Equal(AccessResult.Unclaimed, device.Memory.Read(ulong.MaxValue, size, out _));
        device.Reset();
        device.Memory.Read(last, size, out read);
        Assert.Equal(0UL, read);
    }
}
