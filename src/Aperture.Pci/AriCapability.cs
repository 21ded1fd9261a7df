namespace Aperture.Pci;

/// <summary>Alternative routing-id interpretation, id 0x000E (PCI Express 5.0, section 7.8.8): 8-bit function numbers. The bus chains the functions.</summary>
public sealed class AriCapability : ExtendedCapability
{
    /// <summary>Capability id.</summary>
    public const ushort CapabilityId = 0x000E;

    /// <summary>Makes the capability, chained to nothing.</summary>
    public AriCapability()
        : base(CapabilityId, 1, 8)
    {
    }

    /// <summary>The next function number of the device; 0 ends the chain.</summary>
    public byte Next => (byte)(Config.Get(Offset + 4) >> 8);

    internal void SetNext(byte function) => Config.SetDefault(Offset + 4, (uint)function << 8, 0xFF00);

    /// <inheritdoc/>
    protected override void Define() => Config.Define(Offset + 4, 4, 0);
}
