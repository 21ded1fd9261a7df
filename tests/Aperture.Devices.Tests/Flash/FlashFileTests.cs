using Aperture.Devices.Flash;
using Aperture.Memory;
using Aperture.TestKit.Devices;

namespace Aperture.Devices.Tests.Flash;

public sealed class FlashFileTests : IDisposable
{
    private const int Size = 2 * PflashDevice.BlockSize;

    private readonly TemporaryFolder _folder = new();
    private readonly RamBlock _memory = RamBlock.Create("vars", Size);
    private readonly List<string> _reports = [];

    private string Vars => Path.Combine(_folder.Path, "vars.fd");

    private string Template => Path.Combine(_folder.Path, "template.fd");

    public void Dispose()
    {
        _memory.Dispose();
        _folder.Dispose();
    }

    private byte[] WriteTemplate()
    {
        byte[] content = new byte[Size];
        new Random(3).NextBytes(content);
        File.WriteAllBytes(Template, content);
        if (!OperatingSystem.IsWindows())
        {
            File.SetUnixFileMode(Template, UnixFileMode.UserRead | UnixFileMode.GroupRead);
        }

        return content;
    }

    private PflashDevice Bank(FlashFile file)
    {
        file.Load(_memory);
        return new PflashDevice(_memory, file);
    }

    private static void Program(PflashDevice flash, int offset, byte value)
    {
        flash.Out((ulong)offset, 0x10);
        flash.Out((ulong)offset, value);
        flash.Out((ulong)offset, 0xFF);
    }

    // Another descriptor in this process would meet the lock; a plain read of the bytes does not need one.
    private static byte[] OnDisk(string path)
    {
        using FileStream stream = new(path, FileMode.Open, FileAccess.Read, FileShare.ReadWrite);
        byte[] bytes = new byte[stream.Length];
        stream.ReadExactly(bytes);
        return bytes;
    }

    [Fact]
    public void Variables_survive_the_machine_in_a_private_copy_and_the_template_stays_as_it_was()
    {
        byte[] template = WriteTemplate();
        using (FlashFile file = FlashFile.Open(Vars, Template))
        {
            PflashDevice flash = Bank(file);
            Assert.Equal(template[5], flash.In(5));
            Program(flash, 5, (byte)~template[5]);
            flash.Out(0x1000, 0x20);
            flash.Out(0x1000, 0xD0);
            Assert.True(file.Flush());
        }

        byte[] expected = [.. template.Take(0x1000), .. Enumerable.Repeat((byte)0xFF, 0x1000)];
        expected[5] = (byte)~template[5];
        Assert.Equal(expected, File.ReadAllBytes(Vars));
        Assert.Equal(template, File.ReadAllBytes(Template));

        using FlashFile again = FlashFile.Open(Vars, Template);
        Assert.Equal(expected[5], Bank(again).In(5));
        Assert.Equal([Template, Vars], Directory.GetFiles(_folder.Path).Order());
    }

    [Fact]
    public void A_link_at_the_name_that_a_partial_copy_once_had_is_not_followed()
    {
        byte[] template = WriteTemplate();
        string victim = Path.Combine(_folder.Path, "victim");
        File.WriteAllText(victim, "mine");
        File.CreateSymbolicLink(Vars + ".part", victim);
        FlashFile.Open(Vars, Template).Dispose();
        Assert.Equal("mine", File.ReadAllText(victim));
        Assert.Equal(template, OnDisk(Vars));
    }

    [Fact]
    public void Two_machines_cannot_have_the_same_variables()
    {
        WriteTemplate();
        using FlashFile first = FlashFile.Open(Vars, Template);
        Assert.Contains(Vars, Assert.Throws<ApertureException>(() => FlashFile.Open(Vars)).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_full_disk_is_reported_once_the_machine_goes_on_and_a_later_flush_brings_everything()
    {
        WriteTemplate();
        bool full = false;
        int refused = 0;
        using FlashFile file = FlashFile.Open(Vars, Template, _reports.Add, (handle, bytes, offset) =>
        {
            if (full)
            {
                refused++;
                throw new IOException("No space left on device");
            }

            RandomAccess.Write(handle, bytes, offset);
        });
        PflashDevice flash = Bank(file);
        Program(flash, 0, 1);
        full = true;
        Program(flash, 1, 2);
        Program(flash, 2, 3);
        Assert.Equal(1, refused);
        Assert.Contains("No space left", Assert.Single(_reports), StringComparison.Ordinal);
        Assert.Equal(3, flash.In(2));
        Assert.True(file.IsBehind);
        Assert.False(file.Flush());
        Assert.Single(_reports);

        full = false;
        Assert.True(file.Flush());
        Assert.False(file.IsBehind);
        Program(flash, 3, 4);
        file.Dispose();
        Assert.Equal([1, 2, 3, 4], OnDisk(Vars)[..4]);
    }

    [Fact]
    public void A_missing_empty_or_wrongly_sized_file_is_refused_by_name()
    {
        Assert.Contains(Vars, Assert.Throws<ApertureException>(() => FlashFile.Open(Vars)).Message, StringComparison.Ordinal);
        Assert.Throws<ApertureException>(() => FlashFile.Open(Vars, Template));
        File.WriteAllBytes(Vars, []);
        Assert.Contains("empty", Assert.Throws<ApertureException>(() => FlashFile.Open(Vars)).Message, StringComparison.Ordinal);
        File.WriteAllBytes(Vars, new byte[4096]);
        using FlashFile small = FlashFile.Open(Vars);
        Assert.Contains("bank", Assert.Throws<ApertureException>(() => small.Load(_memory)).Message, StringComparison.Ordinal);
    }
}
