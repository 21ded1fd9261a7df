namespace Aperture.Devices.FwCfg;

/// <summary>The control word of a DMA request (QEMU docs/specs/fw_cfg.rst, "Guest-side DMA Interface").</summary>
/// <param name="Value">The word, in host order.</param>
internal readonly record struct FwCfgDmaControl(uint Value)
{
    /// <summary>Set by the device: the request failed. 0 says that it is done.</summary>
    public const uint Error = 1;

    /// <summary>Item to memory; comes before the other two.</summary>
    public bool IsRead => (Value & 2) != 0;

    /// <summary>Move the offset.</summary>
    public bool IsSkip => (Value & 4) != 0;

    /// <summary>Select <see cref="Key"/> first.</summary>
    public bool IsSelect => (Value & 8) != 0;

    /// <summary>Memory to item.</summary>
    public bool IsWrite => (Value & 16) != 0;

    /// <summary>The key to select.</summary>
    public ushort Key => (ushort)(Value >> 16);
}
