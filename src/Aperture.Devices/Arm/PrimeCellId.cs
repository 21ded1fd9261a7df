namespace Aperture.Devices.Arm;

/// <summary>
/// The eight identification words at the end of every PrimeCell's page, one byte each (such as DDI 0183, 3.3.15 to 3.3.22): by these an operating system finds
/// the driver.
/// </summary>
/// <param name="Part">The part number, 12 bits.</param>
/// <param name="Revision">The revision, 4 bits.</param>
internal readonly record struct PrimeCellId(uint Part, uint Revision)
{
    /// <summary>Bytes of a PrimeCell's page.</summary>
    public const uint PageSize = 0x1000;

    private const uint First = 0xFE0;

    // Who designed it: 'A' as Arm numbered itself.
    private const uint Designer = 0x41;

    // "B105F00D", lowest byte first.
    private const uint CellId = 0xB105_F00D;

    /// <summary>The word at <paramref name="offset"/> of the page; 0 where none of the eight is.</summary>
    public uint Read(ulong offset) => offset < First ? 0 : (uint)((offset - First) / 4) switch
    {
        0 => Part & 0xFF,
        1 => (Part >> 8) | ((Designer & 0xF) << 4),
        2 => (Designer >> 4) | (Revision << 4),
        3 => 0,
        uint cell => CellId >> (int)(8 * (cell - 4)) & 0xFF,
    };
}
