namespace Aperture.Pci.Capabilities;

/// <summary>Device serial number, id 0x0003 (PCI Express 5.0, section 7.9.3).</summary>
public sealed class SerialNumberCapability : ExtendedCapability
{
    /// <summary>Capability id.</summary>
    public const ushort CapabilityId = 0x0003;

    private const int Size = 0x0C;
    private const int LowerWord = 0x04;
    private const int UpperWord = 0x08;

    private readonly ulong _serial;

    /// <summary>Makes the capability; <paramref name="serial"/> is an EUI-64.</summary>
    public SerialNumberCapability(ulong serial)
        : base(CapabilityId, 1, Size) => _serial = serial;

    /// <inheritdoc/>
    protected override void Define()
    {
        Config.Define(Offset + LowerWord, 4, (uint)_serial);
        Config.Define(Offset + UpperWord, 4, (uint)(_serial >> 32));
    }
}
