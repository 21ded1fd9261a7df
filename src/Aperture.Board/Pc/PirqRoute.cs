namespace Aperture.Board.Pc;

/// <summary>A PIRQ route control register (ICH9 datasheet, 13.1.13; PIIX3 datasheet, 2.2.8).</summary>
/// <param name="Value">Bit 7 on: not routed to the 8259s; bits 3:0: the ISA interrupt.</param>
internal readonly record struct PirqRoute(byte Value)
{
    /// <summary>The value after a reset: not routed.</summary>
    public const byte Off = 0x80;

    /// <summary>The bits that the guest may write.</summary>
    public const byte WritableMask = 0x8F;

    // 0, 1, 2, 8 and 13 are reserved: timer, keyboard, cascade, clock and coprocessor have them.
    private const uint Routable = 0b1101_1110_1111_1000;

    /// <summary>The ISA interrupt, or null when the PIRQ is not routed.</summary>
    public uint? IsaInterrupt => (Value & Off) == 0 && (Routable >> (Value & 0xF) & 1) != 0 ? (uint)(Value & 0xF) : null;
}
