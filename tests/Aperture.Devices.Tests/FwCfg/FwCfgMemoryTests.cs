using System.Buffers.Binary;
using Aperture.Devices.FwCfg;
using Aperture.TestKit.Devices;

namespace Aperture.Devices.Tests.FwCfg;

public class FwCfgMemoryTests
{
    private readonly FakeDma _memory = new(1 << 16);
    private readonly FwCfgMemory _device;

    public FwCfgMemoryTests()
    {
        FwCfgItems items = new();
        items.Set(5, new FwCfgBytes(new byte[] { 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11 }));
        _device = new FwCfgMemory(new FwCfgDevice(items, _memory));
    }

    [Fact]
    public void The_signature_and_an_item_read_as_in_the_ports()
    {
        Assert.Equal("QEMU"u8.ToArray(), (byte[])[_device.In(0), _device.In(0), _device.In(0), _device.In(0)]);
        Assert.Equal(AccessResult.Ok, _device.Write(8, 2, 0x0500));
        Assert.Equal(1, _device.In(0));
        Assert.Equal(0x0504_0302u, _device.In32(0));
        Assert.Equal(AccessResult.Ok, _device.Read(0, 8, out ulong rest));

        // Zeros behind the end, the first byte lowest.
        Assert.Equal(0x0000_0B0A_0908_0706UL, rest);
    }

    [Fact]
    public void The_DMA_register_is_big_endian_in_one_access_or_two()
    {
        Assert.Equal(AccessResult.Ok, _device.Read(16, 8, out ulong signature));
        Assert.Equal("QEMU CFG"u8.ToArray(), BitConverter.GetBytes(signature));
        foreach (bool whole in (bool[])[true, false])
        {
            Span<byte> request = _memory.Memory.AsSpan(0x100);
            BinaryPrimitives.WriteUInt32BigEndian(request, (5 << 16) | 8 | 2);
            BinaryPrimitives.WriteUInt32BigEndian(request[4..], 11);
            BinaryPrimitives.WriteUInt64BigEndian(request[8..], 0x200);
            _memory.Memory.AsSpan(0x200, 16).Clear();
            if (whole)
            {
                Assert.Equal(AccessResult.Ok, _device.Write(16, 8, BinaryPrimitives.ReverseEndianness(0x100UL)));
            }
            else
            {
                _device.Out32(16, 0);
                _device.Out32(20, BinaryPrimitives.ReverseEndianness(0x100u));
            }

            Assert.Equal(0u, BinaryPrimitives.ReadUInt32BigEndian(request));
            Assert.Equal([1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11], _memory.Memory[0x200..0x20B]);
        }
    }

    [Theory]
    [InlineData(1, 1)]
    [InlineData(8, 2)]
    [InlineData(12, 4)]
    [InlineData(20, 8)]
    [InlineData(24, 1)]
    public void Elsewhere_nothing_answers(ulong offset, int size)
    {
        Assert.Equal(AccessResult.Unclaimed, _device.Read(offset, size, out ulong value));
        Assert.Equal(AccessWidth.AllOnes(size), value);
    }

    [Fact]
    public void Its_accesses_allocate_nothing() => Allocations.None(() =>
    {
        _device.Write(8, 2, 0x0500);
        _device.Read(0, 8, out _);
        _device.Read(16, 4, out _);
    });
}
