using Aperture.Pci.Capabilities;
using Aperture.Pci.Registers;

namespace Aperture.Pci.Tests;

public class MechanismTests
{
    private readonly RecordingWriteSink _sink = new();
    private readonly PciHierarchy _hierarchy;
    private readonly PciFunction _function = Build.Function();
    private readonly Cf8Mechanism _ports;
    private readonly EcamMechanism _ecam;

    public MechanismTests()
    {
        _hierarchy = new PciHierarchy(_sink);
        _function.AddCapability(new SerialNumberCapability(0x1122_3344_5566_7788));
        _function.AddBar(0, BarKind.Memory32, 16);
        _hierarchy.Root.Add(0x1A, _function);
        _ports = new Cf8Mechanism(_hierarchy);
        _ecam = new EcamMechanism(_hierarchy);
    }

    private static ulong Place => 0x1A << 12;

    [Fact]
    public void Only_a_4_byte_write_to_exactly_cf8_latches_and_other_sizes_are_left_to_others()
    {
        Assert.Equal(AccessResult.Ok, _ports.Write(0, 4, 0x8000_1A00));
        Assert.Equal(AccessResult.Unclaimed, _ports.Write(0, 2, 0x1234));
        Assert.Equal(AccessResult.Unclaimed, _ports.Write(1, 1, 0x06));
        Assert.Equal(AccessResult.Unclaimed, _ports.Write(1, 4, 0x06));
        Assert.Equal(AccessResult.Unclaimed, _ports.Read(1, 1, out ulong other));
        Assert.Equal(0xFFu, other);
        Assert.Equal(AccessResult.Ok, _ports.Read(0, 4, out ulong latch));
        Assert.Equal(0x8000_1A00u, latch);
    }

    [Theory]
    [InlineData(4, 4, 0x5678_1234u)]
    [InlineData(4, 2, 0x1234u)]
    [InlineData(5, 2, 0x7812u)]
    [InlineData(6, 2, 0x5678u)]
    [InlineData(7, 1, 0x56u)]
    [InlineData(6, 4, 0xFFFF_5678u)]
    [InlineData(7, 2, 0xFF56u)]
    public void Data_ports_reach_the_bytes_of_the_latched_register(int offset, int size, uint expected)
    {
        // Bits 1:0 of the latch are ignored.
        _ports.Write(0, 4, 0x8000_1A03);
        Assert.Equal(AccessResult.Ok, _ports.Read((ulong)offset, size, out ulong value));
        Assert.Equal(expected, value);
    }

    [Fact]
    public void With_the_enable_bit_clear_data_reads_are_all_ones_and_writes_are_dropped()
    {
        _ports.Write(0, 4, 0x0000_1A04);
        Assert.Equal(AccessResult.Unclaimed, _ports.Read(4, 2, out ulong value));
        Assert.Equal(0xFFFFu, value);
        Assert.Equal(AccessResult.Unclaimed, _ports.Write(4, 2, 7));
        Assert.Equal(PciCommand.None, _function.Command);
    }

    [Fact]
    public void Data_writes_reach_the_function_with_offset_and_size()
    {
        _ports.Write(0, 4, 0x8000_1A3C);
        _ports.Write(4, 1, 0x10B);
        Assert.Equal((0x3C, 1, 0x0Bu), (_sink.Writes[^1].Offset, _sink.Writes[^1].Size, _sink.Writes[^1].Value));
        Assert.Equal(0x0B, _function.InterruptLine);
        _ports.Write(0, 4, 0x8000_1A10);
        _ports.Write(6, 4, 0xFFFF_E000);
        Assert.Equal((0x12, 2, 0xE000u), (_sink.Writes[^1].Offset, _sink.Writes[^1].Size, _sink.Writes[^1].Value));
        Assert.Equal(0xE000_0000u, _function.ReadConfig(0x10, 4));
    }

    [Fact]
    public void A_function_that_is_not_there_reads_all_ones_and_the_access_is_claimed()
    {
        _ports.Write(0, 4, 0x80FF_FF00);
        Assert.Equal(AccessResult.Ok, _ports.Read(4, 4, out ulong value));
        Assert.Equal(uint.MaxValue, value);
        Assert.Equal(AccessResult.Ok, _ecam.Read(0xFF0_0000, 1, out value));
        Assert.Equal(0xFFu, value);
    }

    [Theory]
    [InlineData(0, 4, 0x5678_1234ul)]
    [InlineData(2, 2, 0x5678ul)]
    [InlineData(3, 1, 0x56ul)]
    [InlineData(1, 2, 0x7812ul)]
    [InlineData(0x100, 8, 0x5566_7788_0001_0003ul)]
    [InlineData(0x101, 8, 0x4455_6677_8800_0100ul)]
    [InlineData(0x105, 4, 0x4455_6677ul)]
    public void Ecam_splits_8_byte_and_unaligned_accesses(int offset, int size, ulong expected)
    {
        Assert.Equal(AccessResult.Ok, _ecam.Read(Place + (ulong)offset, size, out ulong value));
        Assert.Equal(expected, value);
    }

    [Fact]
    public void An_8_byte_ecam_write_becomes_two_4_byte_ones_low_first()
    {
        _ecam.Write(Place + 0x10, 8, 0x1111_2222_E000_0000);
        Assert.Equal([(0x10, 4, 0xE000_0000u), (0x14, 4, 0x1111_2222u)], _sink.Writes.Select(w => (w.Offset, w.Size, w.Value)));
        _sink.Writes.Clear();
        _ecam.Write(Place + 0x11, 4, 0xAABB_CCDD);
        Assert.Equal([(0x11, 1, 0xDDu), (0x12, 2, 0xBBCCu), (0x14, 1, 0xAAu)], _sink.Writes.Select(w => (w.Offset, w.Size, w.Value)));
    }

    [Fact]
    public void Ecam_accesses_past_256_buses_read_as_ones()
    {
        Assert.Equal(AccessResult.Ok, _ecam.Read(1 << 28, 4, out ulong value));
        Assert.Equal(uint.MaxValue, value);
        _ecam.Write((1 << 28) - 4, 8, ulong.MaxValue);
        Assert.Empty(_sink.Writes);
    }

    [Fact]
    public void Config_reads_by_either_mechanism_allocate_nothing()
    {
        ulong sum = 0;
        int i = 0;
        Allocations.None(() =>
        {
            i++;
            _ports.Write(0, 4, 0x8000_1A00 | (uint)(i & 0xFC));
            _ports.Read(4 + (ulong)(i & 3), 1, out ulong a);
            _ecam.Read(Place + (ulong)(i & 0xFFC), 4, out ulong b);
            _ecam.Read(Place + (ulong)(i & 0xFF8), 8, out ulong c);
            sum += a + b + c;
        });
        Assert.NotEqual(0u, sum);
    }

    [Fact]
    public void Several_processors_may_access_at_once_and_no_write_is_lost()
    {
        _function.Config.Define(0xE0, 4, 0, writable: uint.MaxValue);
        Parallel.For(0, 4, new ParallelOptions { MaxDegreeOfParallelism = 4 }, lane =>
        {
            for (int i = 1; i <= 2000; i++)
            {
                _ecam.Write(Place + 0xE0 + (ulong)lane, 1, (ulong)(i & 0xFF));
                _ecam.Read(Place + 0xE0 + (ulong)lane, 1, out ulong value);
                Assert.Equal((ulong)(i & 0xFF), value);
            }
        });
    }
}
