namespace Aperture.Pci;

/// <summary>Device serial number, id 0x0003 (PCI Express 5.0, section 7.9.3).</summary>
public sealed class SerialNumberCapability : ExtendedCapability
{
    /// <summary>Capability id.</summary>
    public const ushort CapabilityId = 0x0003;

    private readonly ulong _serial;

    /// <summary>Makes the capability; <paramref name="serial"/> is an EUI-64.</summary>
    public SerialNumberCapability(ulong serial)
        : base(CapabilityId, 1, 12) => _serial = serial;

    /// <inheritdoc/>
    protected override void Define()
    {
        Config.Define(Offset + 4, 4, (uint)_serial);
        Config.Define(Offset + 8, 4, (uint)(_serial >> 32));
    }
}
