namespace Aperture.Virtio.Transport;

/// <summary>Where a virtio function keeps its structures: all in BAR 0, a 32-bit memory BAR that every firmware can place.</summary>
public static class VirtioLayout
{
    /// <summary>Index of the BAR.</summary>
    public const int Bar = 0;

    /// <summary>Bytes of the BAR.</summary>
    public const ulong BarSize = 16 << 10;

    /// <summary>Most queues a function has room for.</summary>
    public const int MostQueues = 16;

    /// <summary>Offset of the common configuration.</summary>
    public const uint Common = 0x0000;

    /// <summary>Bytes of the common configuration (VIRTIO 1.2, section 4.1.4.3, without the optional tail).</summary>
    public const uint CommonLength = 0x38;

    /// <summary>Offset of the interrupt status byte.</summary>
    public const uint InterruptStatus = 0x1000;

    /// <summary>Offset of the device configuration.</summary>
    public const uint Device = 0x2000;

    /// <summary>Offset of the doorbells.</summary>
    public const uint Notify = 0x3000;

    /// <summary>Bytes from one queue's doorbell to the next one's.</summary>
    public const uint NotifyStride = 4;

    /// <summary>Offset of the MSI-X table.</summary>
    public const uint MsixTable = 0x3800;

    /// <summary>Offset of the MSI-X pending bits.</summary>
    public const uint MsixPending = 0x3C00;

    /// <summary>"No vector" in a vector register.</summary>
    public const ushort NoVector = 0xFFFF;
}

/// <summary>Offsets in the common configuration (VIRTIO 1.2, section 4.1.4.3).</summary>
internal static class VirtioCommonRegister
{
    public const uint DeviceFeatureSelect = 0x00;
    public const uint DeviceFeature = 0x04;
    public const uint DriverFeatureSelect = 0x08;
    public const uint DriverFeature = 0x0C;
    public const uint ConfigVectorAndQueues = 0x10;
    public const uint StatusAndSelect = 0x14;
    public const uint QueueSizeAndVector = 0x18;
    public const uint QueueEnableAndNotify = 0x1C;
    public const uint QueueDescriptors = 0x20;
    public const uint QueueDriver = 0x28;
    public const uint QueueDevice = 0x30;
}
