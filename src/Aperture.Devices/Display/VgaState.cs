namespace Aperture.Devices.Display;

/// <summary>Index numbers of VGA registers (IBM VGA Technical Reference; FreeVGA names them the same).</summary>
internal static class VgaIndex
{
    public const int SequencerClocking = 0x01;
    public const int SequencerMapMask = 0x02;
    public const int SequencerFont = 0x03;
    public const int SequencerMemoryMode = 0x04;

    public const int GraphicsSetReset = 0x00;
    public const int GraphicsEnableSetReset = 0x01;
    public const int GraphicsCompare = 0x02;
    public const int GraphicsRotate = 0x03;
    public const int GraphicsReadMap = 0x04;
    public const int GraphicsMode = 0x05;
    public const int GraphicsMisc = 0x06;
    public const int GraphicsDontCare = 0x07;
    public const int GraphicsBitMask = 0x08;

    public const int CrtcHorizontalEnd = 0x01;
    public const int CrtcOverflow = 0x07;
    public const int CrtcMaxScan = 0x09;
    public const int CrtcCursorStart = 0x0A;
    public const int CrtcCursorEnd = 0x0B;
    public const int CrtcStartHigh = 0x0C;
    public const int CrtcStartLow = 0x0D;
    public const int CrtcCursorHigh = 0x0E;
    public const int CrtcCursorLow = 0x0F;
    public const int CrtcVerticalRetraceEnd = 0x11;
    public const int CrtcVerticalEnd = 0x12;
    public const int CrtcOffset = 0x13;

    public const int AttributeMode = 0x10;
    public const int AttributePlaneEnable = 0x12;
    public const int AttributeColorSelect = 0x14;
}

/// <summary>
/// All registers of the adapter, shared by its ports and its memory window, which hold <see cref="Gate"/> around every use. A copy of it
/// is what the screen is read from.
/// </summary>
internal sealed class VgaState
{
    public const int SequencerCount = 5;
    public const int GraphicsCount = 9;
    public const int CrtcCount = 0x19;
    public const int AttributeCount = 0x15;
    public const int DacBytes = 256 * 3;

    /// <summary>Guards every field of this object.</summary>
    public Lock Gate { get; } = new();

    public byte[] Sequencer { get; } = new byte[SequencerCount];

    public byte[] Graphics { get; } = new byte[GraphicsCount];

    public byte[] Crtc { get; } = new byte[CrtcCount];

    public byte[] Attribute { get; } = new byte[AttributeCount];

    /// <summary>Red, green, blue of each entry as the guest wrote them: 6 bits, or 8 while <see cref="Is8BitDac"/>.</summary>
    public byte[] Dac { get; } = new byte[DacBytes];

    public byte DacMask { get; set; }

    public bool Is8BitDac { get; set; }

    public byte Misc { get; set; }

    /// <summary>Bit 5 of the attribute index: clear while the guest loads the palette, and then the screen is blank.</summary>
    public bool PaletteOn { get; set; }

    public DispiMode Dispi { get; set; }

    public bool IsColor => (Misc & 1) != 0;

    public bool IsRamEnabled => (Misc & 2) != 0;

    public bool IsGraphics => (Graphics[VgaIndex.GraphicsMisc] & 1) != 0;

    public bool IsChain4 => (Sequencer[VgaIndex.SequencerMemoryMode] & 8) != 0;

    /// <summary>Power-on values: everything off, no RAM window, palette mask open.</summary>
    public void Reset()
    {
        Array.Clear(Sequencer);
        Array.Clear(Graphics);
        Array.Clear(Crtc);
        Array.Clear(Attribute);
        Array.Clear(Dac);
        (DacMask, Is8BitDac, Misc, PaletteOn, Dispi) = (0xFF, false, 0, false, default);
    }

    /// <summary>Copies everything to <paramref name="other"/>, which nobody else uses.</summary>
    public void CopyTo(VgaState other)
    {
        Sequencer.CopyTo(other.Sequencer, 0);
        Graphics.CopyTo(other.Graphics, 0);
        Crtc.CopyTo(other.Crtc, 0);
        Attribute.CopyTo(other.Attribute, 0);
        Dac.CopyTo(other.Dac, 0);
        (other.DacMask, other.Is8BitDac, other.Misc, other.PaletteOn, other.Dispi) = (DacMask, Is8BitDac, Misc, PaletteOn, Dispi);
    }
}
