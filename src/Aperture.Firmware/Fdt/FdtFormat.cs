namespace Aperture.Firmware.Fdt;

/// <summary>Numbers of the flattened format, version 17 (Devicetree Specification 0.4, chapter 5). Everything is big-endian.</summary>
internal static class FdtFormat
{
    /// <summary>The first word (5.2).</summary>
    public const uint Magic = 0xD00D_FEED;

    /// <summary>This format, and the oldest whose readers understand it (5.2).</summary>
    public const uint Version = 17;

    public const uint OldestCompatible = 16;

    /// <summary>Ten words (5.2).</summary>
    public const int HeaderSize = 40;

    /// <summary>The reservation block starts at a multiple of 8, the structure block at one of 4 (5.6).</summary>
    public const int ReservationAlignment = 8;

    public const int TokenSize = 4;

    /// <summary>Tokens of the structure block (5.4.1).</summary>
    public const uint BeginNode = 1;

    public const uint EndNode = 2;

    public const uint Property = 3;

    public const uint End = 9;
}
