namespace Aperture.Virtio.Transport;

/// <summary>
/// What a virtio device does behind its transport (VIRTIO 1.2, section 5): its type, features and configuration, and how it carries out requests.
/// <see cref="Handle"/> runs on the transport's worker thread, one request at a time; the rest on any thread.
/// </summary>
public abstract class VirtioDevice
{
    /// <summary>The device type (section 5): 2 is a block device.</summary>
    public abstract ushort DeviceType { get; }

    /// <summary>The class code of the PCI function, 24 bits.</summary>
    public abstract uint ClassCode { get; }

    /// <summary>The device type's own feature bits; the transport adds its own.</summary>
    public abstract ulong Features { get; }

    /// <summary>How many queues, 1 to 64.</summary>
    public abstract int QueueCount { get; }

    /// <summary>Most descriptors a queue may have; a power of two to 1024.</summary>
    public virtual ushort LargestQueue => 256;

    /// <summary>Bytes of device configuration.</summary>
    public abstract uint ConfigLength { get; }

    /// <summary>The byte of device configuration at <paramref name="offset"/>, below <see cref="ConfigLength"/>.</summary>
    public abstract byte ReadConfig(uint offset);

    /// <summary>
    /// Carries out one request. False when the chain has not the shape that the device type asks for: the transport then sets DEVICE_NEEDS_RESET.
    /// Never throws for anything the guest or the host's files do, and allocates nothing.
    /// </summary>
    /// <param name="queue">Which queue it came from.</param>
    /// <param name="chain">Its buffers; valid during the call.</param>
    /// <param name="features">What driver and device agreed on.</param>
    /// <param name="written">Bytes written to the chain's writable part.</param>
    public abstract bool Handle(int queue, DescriptorChain chain, ulong features, out uint written);
}
