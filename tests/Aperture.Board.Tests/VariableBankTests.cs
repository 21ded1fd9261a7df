using Aperture.Board.Pc;
using Aperture.Memory;

namespace Aperture.Board.Tests;

public sealed class VariableBankTests : IDisposable
{
    private const ulong Size = 8192;
    private static readonly GuestAddress CodeStart = new(0xFFFF_0000);
    private static readonly GuestAddress Start = CodeStart - Size;
    private readonly TemporaryFolder _folder = new();
    private readonly string _path;
    private readonly AddressSpace _memory = AddressSpace.ForMemory();

    public VariableBankTests()
    {
        _path = In("vars.fd");
        byte[] content = new byte[Size];
        content[0] = 0x5A;
        File.WriteAllBytes(_path, content);
    }

    private RegionKind Kind => Assert.Single(_memory.Placements).Region.Kind;

    public void Dispose()
    {
        _memory.Dispose();
        _folder.Dispose();
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

    [Fact]
    public void A_link_is_as_good_as_what_it_leads_to_and_stays_a_link()
    {
        string link = Link("link", Link("other", _path));
        VariableBank.Check(link, link, 1 << 20);
        using (VariableBank bank = Place(snapshot: false, link))
        {
            Write(5, 0x40);
            Write(5, 0x77);
        }

        Assert.Equal(0x77, File.ReadAllBytes(_path)[5]);
        Assert.NotNull(new FileInfo(link).LinkTarget);
    }

    [Fact]
    public void A_link_to_what_is_no_bank_is_refused_with_the_size_of_what_it_leads_to()
    {
        string link = Link("link", _path);
        File.WriteAllBytes(_path, new byte[100]);
        Assert.Contains($"vars={link} has 100", Refused(link), StringComparison.Ordinal);
        File.Delete(_path);
        Assert.Contains($"vars={link} does not exist; template=FILE", Refused(link), StringComparison.Ordinal);
        File.CreateSymbolicLink(_path, link);
        Assert.StartsWith($"--firmware vars={link} cannot be read", Refused(link), StringComparison.Ordinal);
    }

    [Fact]
    public void A_link_that_leads_nowhere_yet_is_where_new_variables_are_made()
    {
        string made = In("made.fd");
        string link = Link("link", "made.fd");
        using (VariableBank bank = Place(snapshot: false, link, template: _path))
        {
            Write(5, 0x40);
            Write(5, 0x77);
        }

        Assert.Equal((0x5A, 0x77), (File.ReadAllBytes(made)[0], File.ReadAllBytes(made)[5]));
        Assert.Equal("made.fd", new FileInfo(link).LinkTarget);
        string far = Link("far", In("no/such.fd"));
        string said = Assert.Throws<ApertureException>(() => VariableBank.Open(far, _path, false, Assert.Fail)).Message;
        Assert.Equal($"flash variables {far} cannot be made: it is a link to {In("no/such.fd")}, whose folder does not exist", said);
        Assert.Equal(["far", "link", "made.fd", "vars.fd"], Directory.GetFileSystemEntries(_folder.Path).Select(Path.GetFileName).Order());
    }

    [Fact]
    public void A_firmware_image_behind_a_link_is_read_and_judged_by_its_own_size()
    {
        string link = Link("link", _path);
        using (RamBlock image = FirmwareImage.Load(link))
        {
            Assert.Equal(Size, image.Size);
        }

        File.WriteAllBytes(_path, []);
        Assert.Contains("has 0 bytes", Assert.Throws<ApertureException>(() => FirmwareImage.Load(link)).Message, StringComparison.Ordinal);
    }

    private static string Refused(string path) => Assert.Throws<ApertureException>(() => VariableBank.Check(path, path, 1 << 20)).Message;

    private string In(string name) => _folder.In(name);

    private string Link(string name, string target) => _folder.Link(name, target);

    private VariableBank Place(bool snapshot, string? path = null, string? template = null)
    {
        VariableBank bank = VariableBank.Open(path ?? _path, template, snapshot, Assert.Fail);
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
