namespace Aperture.Devices.FwCfg;

/// <summary>Selector keys (QEMU docs/specs/fw_cfg.rst; the numbers below 0x20 are listed in QEMU's include/standard-headers/linux/qemu_fw_cfg.h).</summary>
public static class FwCfgKey
{
    /// <summary>The four characters by which a guest knows the device.</summary>
    public const ushort Signature = 0x0000;

    /// <summary>Feature bits: 0 the data port, 1 DMA.</summary>
    public const ushort Features = 0x0001;

    /// <summary>The directory of files.</summary>
    public const ushort Directory = 0x0019;

    /// <summary>The first file's key.</summary>
    public const ushort FirstFile = 0x0020;

    /// <summary>Set in the keys that belong to one architecture.</summary>
    public const ushort Architecture = 0x8000;

    internal const ushort WriteChannel = 0x4000;
    internal const ushort ArchitectureBits = 0x4000;
}
