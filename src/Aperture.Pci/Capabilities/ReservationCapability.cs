namespace Aperture.Pci.Capabilities;

/// <summary>
/// What a port asks firmware to keep free behind it for devices that come later: a vendor-specific capability (PCI Local Bus 3.0, appendix H, id 9) that
/// SeaBIOS and OVMF look for in ports of vendor 1B36 (QEMU docs/pcie_pci_bridge.txt). Zero in a property leaves that to the firmware.
/// </summary>
public sealed class ReservationCapability : StandardCapability
{
    /// <summary>Capability id.</summary>
    public const byte CapabilityId = 0x09;

    private const int Size = 32;
    private const byte ReservationType = 1;

    // The structure behind the header (QEMU docs/pcie_pci_bridge.txt).
    private const int SizeRegister = 0x02;
    private const int TypeRegister = 0x03;
    private const int BusesRegister = 0x04;
    private const int IoRegister = 0x08;
    private const int MemoryRegister = 0x10;
    private const int Prefetchable32Register = 0x14;
    private const int Prefetchable64Register = 0x18;

    /// <summary>Makes the capability.</summary>
    public ReservationCapability()
        : base(CapabilityId, Size)
    {
    }

    /// <summary>Bus numbers behind the secondary bus.</summary>
    public uint Buses { get; init; }

    /// <summary>Bytes of I/O ports.</summary>
    public ulong Io { get; init; }

    /// <summary>Bytes of the memory window, below 4 GiB.</summary>
    public uint Memory { get; init; }

    /// <summary>Bytes of the prefetchable window, which may then lie anywhere.</summary>
    public ulong Prefetchable { get; init; }

    /// <inheritdoc/>
    protected override void Define()
    {
        Config.Define(Offset + SizeRegister, 1, Size);
        Config.Define(Offset + TypeRegister, 1, ReservationType);
        Config.Define(Offset + BusesRegister, 4, Buses == 0 ? uint.MaxValue : Buses);
        Define(Offset + IoRegister, Io);
        Config.Define(Offset + MemoryRegister, 4, Memory == 0 ? uint.MaxValue : Memory);

        // A 32-bit prefetchable reservation excludes the 64-bit one that follows.
        Config.Define(Offset + Prefetchable32Register, 4, uint.MaxValue);
        Define(Offset + Prefetchable64Register, Prefetchable);
    }

    private void Define(int offset, ulong value)
    {
        ulong told = value == 0 ? ulong.MaxValue : value;
        Config.Define(offset, 4, (uint)told);
        Config.Define(offset + 4, 4, (uint)(told >> 32));
    }
}
