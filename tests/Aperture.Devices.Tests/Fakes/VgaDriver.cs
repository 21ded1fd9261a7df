using Aperture.Devices.Display;
using Aperture.Pci.Registers;
using Aperture.TestKit.Devices;

namespace Aperture.Devices.Tests.Fakes;

/// <summary>Drives a standard VGA as a video BIOS does; register values of the IBM VGA's own mode tables.</summary>
internal sealed class VgaDriver : IDisposable
{
    private static readonly byte[] Attributes = [0, 1, 2, 3, 4, 5, 0x14, 7, 0x38, 0x39, 0x3A, 0x3B, 0x3C, 0x3D, 0x3E, 0x3F];

    public VgaDriver()
    {
        Vga = new StandardVga("vga", null);
        Vga.WriteConfig(PciRegisters.Command, 2, 3);
    }

    public StandardVga Vga { get; }

    public void Dispose() => Vga.Dispose();

    public void Out(int port, byte value) => Vga.LegacyPorts.Out((ulong)(port - StandardVga.FirstPort), value);

    public byte In(int port) => Vga.LegacyPorts.In((ulong)(port - StandardVga.FirstPort));

    public void Index(int port, int index, byte value) =>
        Assert.Equal(AccessResult.Ok, Vga.LegacyPorts.Write((ulong)(port - StandardVga.FirstPort), 2, (ulong)(index | value << 8)));

    public void Sequencer(int index, byte value) => Index(0x3C4, index, value);

    public void Graphics(int index, byte value) => Index(0x3CE, index, value);

    public void Crtc(int index, byte value) => Index(0x3D4, index, value);

    public void Attribute(int index, byte value)
    {
        In(0x3DA);
        Out(0x3C0, (byte)index);
        Out(0x3C0, value);
    }

    public void ShowScreen()
    {
        In(0x3DA);
        Out(0x3C0, 0x20);
    }

    public void Dac(int index, byte red, byte green, byte blue)
    {
        Out(0x3C8, (byte)index);
        Out(0x3C9, red);
        Out(0x3C9, green);
        Out(0x3C9, blue);
    }

    public void Poke(ulong address, byte value) => Vga.LegacyWindow.Out(address - 0xA0000, value);

    public byte Peek(ulong address) => Vga.LegacyWindow.In(address - 0xA0000);

    public void Dispi(int index, ushort value)
    {
        Assert.Equal(AccessResult.Ok, Vga.BochsPorts.Write(0, 2, (ulong)index));
        Assert.Equal(AccessResult.Ok, Vga.BochsPorts.Write(1, 2, value));
    }

    public ushort Dispi(int index)
    {
        Assert.Equal(AccessResult.Ok, Vga.BochsPorts.Write(0, 2, (ulong)index));
        Assert.Equal(AccessResult.Ok, Vga.BochsPorts.Read(1, 2, out ulong value));
        return (ushort)value;
    }

    public void DispiMode(ushort width, ushort height, ushort depth, ushort flags = 0x40)
    {
        Dispi(4, 0);
        Dispi(1, width);
        Dispi(2, height);
        Dispi(3, depth);
        Dispi(4, (ushort)(flags | 1));
    }

    public void Palette()
    {
        for (int i = 0; i < 16; i++)
        {
            Attribute(i, Attributes[i]);
        }
    }

    /// <summary>80 by 25 characters of 9 by 16 dots.</summary>
    public void TextMode()
    {
        Out(0x3C2, 0x67);
        Common(sequencer: [0, 3, 0, 2], graphics: [0, 0, 0, 0, 0, 0x10, 0x0E, 0x0F, 0xFF]);
        byte[] crtc = [0x5F, 0x4F, 0x50, 0x82, 0x55, 0x81, 0xBF, 0x1F, 0, 0x4F, 0x0D, 0x0E, 0, 0, 0, 0, 0x9C, 0x8E, 0x8F, 0x28, 0x1F, 0x96, 0xB9, 0xA3, 0xFF];
        Controller(crtc);
        Attribute(0x10, 0x0C);
        Attribute(0x12, 0x0F);
        ShowScreen();
    }

    /// <summary>320 by 200, 256 colours.</summary>
    public void Mode13()
    {
        Out(0x3C2, 0x63);
        Common(sequencer: [1, 0x0F, 0, 0x0E], graphics: [0, 0, 0, 0, 0, 0x40, 0x05, 0x0F, 0xFF]);
        byte[] crtc = [0x5F, 0x4F, 0x50, 0x82, 0x54, 0x80, 0xBF, 0x1F, 0, 0x41, 0, 0, 0, 0, 0, 0, 0x9C, 0x8E, 0x8F, 0x28, 0x40, 0x96, 0xB9, 0xA3, 0xFF];
        Controller(crtc);
        Attribute(0x10, 0x41);
        Attribute(0x12, 0x0F);
        ShowScreen();
    }

    /// <summary>640 by 480, 16 colours.</summary>
    public void Mode12()
    {
        Out(0x3C2, 0xE3);
        Common(sequencer: [1, 0x0F, 0, 0x06], graphics: [0, 0, 0, 0, 0, 0, 0x05, 0x0F, 0xFF]);
        byte[] crtc = [0x5F, 0x4F, 0x50, 0x82, 0x54, 0x80, 0x0B, 0x3E, 0, 0x40, 0, 0, 0, 0, 0, 0, 0xEA, 0x8C, 0xDF, 0x28, 0, 0xE7, 0x04, 0xE3, 0xFF];
        Controller(crtc);
        Attribute(0x10, 0x01);
        Attribute(0x12, 0x0F);
        ShowScreen();
    }

    /// <summary>Writes a text at a cell of the text page.</summary>
    public void Print(int row, int column, string text, byte attribute = 7)
    {
        for (int i = 0; i < text.Length; i++)
        {
            ulong at = 0xB8000 + (((ulong)row * 80) + (ulong)(column + i)) * 2;
            Assert.Equal(AccessResult.Ok, Vga.LegacyWindow.Write(at - 0xA0000, 2, (ulong)((byte)text[i] | attribute << 8)));
        }
    }

    /// <summary>Loads a character's picture as a video BIOS does: plane 2, sequential, at 0xA0000.</summary>
    public void Glyph(byte code, params byte[] rows)
    {
        Sequencer(2, 4);
        Sequencer(4, 7);
        Graphics(4, 2);
        Graphics(5, 0);
        Graphics(6, 4);
        for (int i = 0; i < rows.Length; i++)
        {
            Poke(0xA0000 + ((ulong)code * 32) + (ulong)i, rows[i]);
        }

        Sequencer(2, 3);
        Sequencer(4, 2);
        Graphics(4, 0);
        Graphics(5, 0x10);
        Graphics(6, 0x0E);
    }

    private void Common(byte[] sequencer, byte[] graphics)
    {
        for (int i = 0; i < sequencer.Length; i++)
        {
            Sequencer(i + 1, sequencer[i]);
        }

        for (int i = 0; i < graphics.Length; i++)
        {
            Graphics(i, graphics[i]);
        }

        Palette();
    }

    private void Controller(byte[] crtc)
    {
        Crtc(0x11, 0);
        for (int i = 0; i < crtc.Length; i++)
        {
            Crtc(i, crtc[i]);
        }
    }
}
