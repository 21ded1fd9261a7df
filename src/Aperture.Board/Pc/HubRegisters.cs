namespace Aperture.Board.Pc;

/// <summary>PCIEXBAR, offset 0x60, 64 bits (Intel 3 Series datasheet, 5.1.15): where the ECAM window is.</summary>
/// <param name="Value">The register.</param>
public readonly record struct PciExBar(ulong Value)
{
    /// <summary>Offset of the register in bytes.</summary>
    public const int Offset = 0x60;

    /// <summary>The value after a reset: 0xB0000000, disabled.</summary>
    public const ulong ResetValue = 0xB000_0000;

    /// <summary>Bits of the low half that the guest may write: enable, size, and the base down to 64 MiB.</summary>
    public const uint LowWritableMask = 0xFC00_0007;

    /// <summary>Bits of the high half that the guest may write: base 35:32.</summary>
    public const uint HighWritableMask = 0xF;

    private const ulong AddressBits = 0xF_FC00_0000;

    /// <summary>Bit 0: the window decodes.</summary>
    public bool Enabled => (Value & 1) != 0;

    /// <summary>Bits 2:1: 0 for 256 MiB, 1 for 128 MiB, 2 for 64 MiB; 3 is reserved.</summary>
    public int SizeCode => (int)(Value >> 1) & 3;

    /// <summary>True when the size is one that exists.</summary>
    public bool IsValid => SizeCode != 3;

    /// <summary>The window's size in bytes; 1 MiB a bus.</summary>
    public ulong Size => (256UL << 20) >> SizeCode;

    /// <summary>The window: the base bits below the size are not compared.</summary>
    public AddressRange Range => new(new GuestAddress(Value & ~(Size - 1) & AddressBits), Size);
}

/// <summary>How the chipset routes one piece of C0000-FFFFF (PAM, Intel 3 Series datasheet, 5.1.19).</summary>
/// <param name="Value">Two bits: 0 read enable, 1 write enable.</param>
public readonly record struct PamAttribute(byte Value)
{
    /// <summary>Reads go to RAM, not to the ROM below 4 GiB.</summary>
    public bool ReadEnable => (Value & 1) != 0;

    /// <summary>Writes go to RAM, not nowhere.</summary>
    public bool WriteEnable => (Value & 2) != 0;
}

/// <summary>The seven programmable attribute map registers and the 13 pieces they route.</summary>
public static class PamRegisters
{
    /// <summary>Bits of PAM0 that the guest may write: its high nibble routes F0000-FFFFF.</summary>
    public const byte FirstWritableMask = 0x30;

    /// <summary>Bits of the other six that the guest may write: two pieces, two bits each.</summary>
    public const byte WritableMask = 0x33;

    /// <summary>Offset of PAM0 in the hub's configuration space.</summary>
    public const int Offset = 0x90;

    /// <summary>The number of registers.</summary>
    public const int Count = 7;

    /// <summary>The number of pieces: twelve of 16 KiB from C0000 and the 64 KiB at F0000.</summary>
    public const int Segments = 13;

    private const ulong FirstPiece = 0xC_0000;
    private const ulong PieceSize = 0x4000;
    private const ulong LastPiece = 0xF_0000;
    private const ulong LastPieceSize = 0x1_0000;

    /// <summary>The addresses of piece <paramref name="segment"/>; the last is F0000-FFFFF.</summary>
    public static AddressRange Range(int segment) => segment == Segments - 1
        ? new AddressRange(new GuestAddress(LastPiece), LastPieceSize)
        : new AddressRange(new GuestAddress(FirstPiece + ((ulong)segment * PieceSize)), PieceSize);

    /// <summary>
    /// The attribute of piece <paramref name="segment"/> in the seven <paramref name="registers"/>: PAM0's high nibble is F0000, then two pieces a
    /// register.
    /// </summary>
    public static PamAttribute Attribute(ReadOnlySpan<byte> registers, int segment) => segment == Segments - 1
        ? new PamAttribute((byte)(registers[0] >> 4 & 3))
        : new PamAttribute((byte)(registers[1 + (segment / 2)] >> (4 * (segment % 2)) & 3));
}
