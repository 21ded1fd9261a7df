using Aperture.Board.Pc;
using Aperture.Memory;

namespace Aperture.Board.Tests;

public sealed class VariableBankTests : IDisposable
{
    private const ulong Size = 8192;
    private static readonly GuestAddress CodeStart = new(0xFFFF_0000);
    private static readonly GuestAddress Start = CodeStart - Size;
    private readonly string _path = Path.GetTempFileName();
    private readonly AddressSpace _memory = AddressSpace.ForMemory();

    public VariableBankTests()
    {
        byte[] content = new byte[Size];
        content[0] = 0x5A;
        File.WriteAllBytes(_path, content);
    }

    private RegionKind Kind => Assert.Single(_memory.Placements).Region.Kind;

    public void Dispose()
    {
        _memory.Dispose();
        File.Delete(_path);
    }

    [Fact]
    public void Reads_are_memory_until_a_command_and_after_it_and_writes_reach_the_file()
    {
        using (VariableBank bank = Place(snapshot: false))
        {
            Assert.Equal(new AddressRange(Start, Size), Assert.Single(_memory.Placements).Range);
            Assert.Equal((RegionKind.Ram, 0x5A), (Kind, Read(0)));
            Write(0, 0x70);
            Assert.Equal((RegionKind.Trapped, 0x80), (Kind, Read(0)));
            Write(5, 0x40);
            Write(5, 0x77);
            Write(5, 0xFF);
            Assert.Equal((RegionKind.Ram, 0x77), (Kind, Read(5)));
        }

        Assert.Equal(0x77, File.ReadAllBytes(_path)[5]);
    }

    [Fact]
    public void A_reset_ends_a_command()
    {
        using VariableBank bank = Place(snapshot: false);
        Write(0, 0x70);
        bank.Reset();
        Assert.Equal((RegionKind.Ram, 0x5A), (Kind, Read(0)));
    }

    [Fact]
    public void A_snapshot_leaves_the_file_alone()
    {
        using (VariableBank bank = Place(snapshot: true))
        {
            Write(5, 0x40);
            Write(5, 0x77);
            Write(5, 0xFF);
            Assert.Equal(0x77, Read(5));
        }

        Assert.Equal(0, File.ReadAllBytes(_path)[5]);
    }

    [Fact]
    public void A_file_that_is_no_bank_is_refused_before_the_machine_starts()
    {
        VariableBank.Check(_path, _path, 1 << 20);
        Assert.Contains("both at most 16M", Assert.Throws<ApertureException>(() => VariableBank.Check(_path, _path, (16 << 20) - 4096)).Message,
            StringComparison.Ordinal);
        File.WriteAllBytes(_path, new byte[100]);
        Assert.Contains("a multiple of 4K", Assert.Throws<ApertureException>(() => VariableBank.Check(_path, _path, 1 << 20)).Message,
            StringComparison.Ordinal);
        Assert.Contains("template=FILE", Assert.Throws<ApertureException>(() => VariableBank.Check(_path + ".absent", _path + ".absent", 1 << 20)).Message,
            StringComparison.Ordinal);
    }

    private VariableBank Place(bool snapshot)
    {
        VariableBank bank = VariableBank.Open(_path, null, snapshot, Assert.Fail);
        using AddressChange change = _memory.Begin();
        new VariableWindow(bank, _memory, CodeStart).Place(change);
        change.Commit();
        return bank;
    }

    private int Read(ulong offset)
    {
        LookupCache cache = default;
        new Dispatcher(_memory, new UnclaimedLog()).Read(ref cache, Start + offset, 1, out ulong value);
        return (int)value;
    }

    private void Write(ulong offset, byte value)
    {
        LookupCache cache = default;
        new Dispatcher(_memory, new UnclaimedLog()).Write(ref cache, Start + offset, 1, value);
    }
}
