namespace Aperture.Virtio.Transport;

/// <summary>The device status byte (VIRTIO 1.2, section 2.1).</summary>
/// <param name="Value">The byte as the driver reads it.</param>
public readonly record struct VirtioStatus(byte Value)
{
    /// <summary>The driver has seen the device.</summary>
    public const byte AcknowledgeBit = 1;

    /// <summary>The driver knows how to drive it.</summary>
    public const byte DriverBit = 2;

    /// <summary>The driver is set up; the device may work.</summary>
    public const byte DriverOkBit = 4;

    /// <summary>Driver and device agree on the features.</summary>
    public const byte FeaturesOkBit = 8;

    /// <summary>The device met something it cannot go on from.</summary>
    public const byte NeedsResetBit = 0x40;

    /// <summary>The driver gave up.</summary>
    public const byte FailedBit = 0x80;

    /// <summary>What a driver may set; it never clears a bit but by a reset.</summary>
    public const byte DriverBits = AcknowledgeBit | DriverBit | DriverOkBit | FeaturesOkBit | FailedBit;

    /// <summary>True when queues may be served.</summary>
    public bool IsRunning => (Value & (DriverOkBit | NeedsResetBit | FailedBit)) == DriverOkBit;

    /// <summary>True once the features are fixed.</summary>
    public bool AreFeaturesFixed => (Value & FeaturesOkBit) != 0;
}

/// <summary>Feature bits that belong to no device type (VIRTIO 1.2, section 6).</summary>
public static class VirtioFeatures
{
    /// <summary>VIRTIO_F_INDIRECT_DESC: a descriptor may point at a table of descriptors.</summary>
    public const ulong IndirectDescriptors = 1UL << 28;

    /// <summary>VIRTIO_F_VERSION_1: not a legacy device. Always offered, and refused without.</summary>
    public const ulong Version1 = 1UL << 32;
}
