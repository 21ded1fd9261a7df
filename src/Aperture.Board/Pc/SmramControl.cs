namespace Aperture.Board.Pc;

/// <summary>
/// What the registers SMRAM (Intel 3 Series datasheet, 5.1.21) and ESMRAMC (5.1.22) say of the RAM that system management mode has for itself.
/// </summary>
/// <param name="Smram">The first register.</param>
/// <param name="Extended">The second.</param>
internal readonly record struct SmramControl(byte Smram, byte Extended)
{
    /// <summary>Where the 128 KiB of RAM behind the VGA window are among the bytes of RAM, and where they show while they are not high.</summary>
    public const ulong WindowStart = 0xA_0000;

    /// <summary>How long those are.</summary>
    public const ulong WindowSize = 0x2_0000;

    /// <summary>Where they show while they are high.</summary>
    public const ulong HighWindowStart = 0xFEDA_0000;

    /// <summary>TSEG in the size that ESMRAMC cannot say (<see cref="HubMemoryRegisters.ExtendedTseg"/>).</summary>
    public const ulong ExtendedTsegSize = 16UL << 20;

    /// <summary>G_SMRAME: there is such RAM at all.</summary>
    public bool IsEnabled => (Smram & 1 << 3) != 0;

    /// <summary>D_OPEN: everybody sees the window, so that firmware can fill it.</summary>
    public bool IsOpen => (Smram & 1 << 6) != 0;

    /// <summary>Where the window shows: H_SMRAME says whether it is high.</summary>
    public GuestAddress Window => new((Extended & 1 << 7) != 0 ? HighWindowStart : WindowStart);

    /// <summary>TSEG's size in bytes, by T_EN and TSEG_SZ; 0 while there is none.</summary>
    public ulong TsegSize => !IsEnabled || (Extended & 1) == 0 ? 0 : (Extended >> 1 & 3) switch
    {
        0 => 1UL << 20,
        1 => 2UL << 20,
        2 => 8UL << 20,
        _ => ExtendedTsegSize,
    };
}
