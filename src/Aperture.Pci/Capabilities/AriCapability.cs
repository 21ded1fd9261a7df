namespace Aperture.Pci.Capabilities;

/// <summary>Alternative routing-id interpretation, id 0x000E (PCI Express 5.0, section 7.8.8): 8-bit function numbers. The bus chains the functions.</summary>
public sealed class AriCapability : ExtendedCapability
{
    /// <summary>Capability id.</summary>
    public const ushort CapabilityId = 0x000E;

    private const int Capabilities = 0x04;
    private const int NextFunctionShift = 8;
    private const uint NextFunctionMask = 0xFF << NextFunctionShift;

    /// <summary>Makes the capability, chained to nothing.</summary>
    public AriCapability()
        : base(CapabilityId, 1, 8)
    {
    }

    internal void SetNext(byte function) =>
        Config.SetDefault(Offset + Capabilities, (uint)function << NextFunctionShift, NextFunctionMask);

    /// <inheritdoc/>
    protected override void Define() => Config.Define(Offset + Capabilities, 4, 0);
}
