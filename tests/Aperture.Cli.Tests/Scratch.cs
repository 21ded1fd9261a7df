using Aperture.TestPayloads;
using Iced.Intel;
using static Iced.Intel.AssemblerRegisters;

namespace Aperture.Cli.Tests;

/// <summary>A folder for one test class's files.</summary>
public sealed class Scratch : IDisposable
{
    private readonly TemporaryFolder _folder = new();

    public string Folder => _folder.Path;

    public string Path(string name) => System.IO.Path.Combine(Folder, name);

    public string File(string name, byte[] bytes)
    {
        System.IO.File.WriteAllBytes(Path(name), bytes);
        return Path(name);
    }

    /// <summary>A file of this length without contents on the disk.</summary>
    public string Sparse(string name, long length)
    {
        using FileStream file = System.IO.File.Create(Path(name));
        file.SetLength(length);
        return Path(name);
    }

    /// <summary>A firmware image that writes <paramref name="value"/> to the debug-exit port.</summary>
    public string Exits(byte value) => File($"exits-{value}.rom", RomImage.Protected32(code =>
    {
        code.mov(al, value);
        code.@out(0xF4, al);
        Spin(code);
    }));

    /// <summary>A firmware image that prints a line and then does nothing for ever.</summary>
    public string Spins() => File("spins.rom", RomImage.Protected32(code =>
    {
        code.mov(edx, 0x3F8);
        foreach (byte letter in "ready\n"u8)
        {
            code.mov(al, letter);
            code.@out(dx, al);
        }

        Spin(code);
    }));

    /// <summary>A firmware image that prints for ever.</summary>
    public string Floods() => File("floods.rom", RomImage.Protected32(code =>
    {
        code.mov(edx, 0x3F8);
        code.mov(al, (byte)'x');
        Label again = code.CreateLabel();
        code.Label(ref again);
        code.@out(dx, al);
        code.jmp(again);
    }));

    public void Dispose() => _folder.Dispose();

    private static void Spin(Assembler code)
    {
        Label here = code.CreateLabel();
        code.Label(ref here);
        code.jmp(here);
    }
}
