namespace Aperture.Placement.Platforms;

/// <summary>What the platform leaves for PCI: widths, windows, RAM and the ranges that are taken.</summary>
public sealed record PlatformLimits
{
    /// <summary>Where memory above the 32-bit space starts.</summary>
    public const ulong FourGiB = 1UL << 32;

    /// <summary>The narrowest physical address this solver accepts.</summary>
    public const int MinAddressBits = 32;

    /// <summary>The widest physical address this solver accepts.</summary>
    public const int MaxAddressBits = 57;

    /// <summary>The guest's physical address width in bits, <see cref="MinAddressBits"/> to <see cref="MaxAddressBits"/>.</summary>
    public required int PhysicalAddressBits { get; init; }

    /// <summary>Guest RAM in bytes. What does not fit below the low hole continues at 4 GiB.</summary>
    public required ulong RamSize { get; init; }

    /// <summary>
    /// Where RAM starts. Above 0 the low hole lies below RAM: it starts at <see cref="LowRamCeiling"/> whatever it holds, and RAM below 4 GiB makes way for
    /// pins and set windows as it does above.
    /// </summary>
    public GuestAddress RamBase { get; init; }

    /// <summary>The low hole starts here or lower: RAM below 4 GiB never reaches past it. 1 MiB aligned.</summary>
    public ulong LowRamCeiling { get; init; } = 0xB000_0000;

    /// <summary>The solver may lower the low hole's start to here, and no further, when pins or 32-bit demands need the room.</summary>
    public ulong LowRamFloor { get; init; } = 0x1000_0000;

    /// <summary>First address past the 32-bit window when that window is automatic; pins may lie above it between reserved ranges.</summary>
    public GuestAddress Mmio32End { get; init; } = new(0xFEC0_0000);

    /// <summary>
    /// The 32-bit memory window as the user set it, or null for automatic: from the hole's start to <see cref="Mmio32End"/>. A pin outside a set window is an
    /// error.
    /// </summary>
    public AddressRange? Mmio32Window { get; init; }

    /// <summary>
    /// The 64-bit memory window as the user set it, or null for automatic: from the first GiB above RAM and <see cref="Mmio64Start"/> to the end of the address
    /// space.
    /// </summary>
    public AddressRange? Mmio64Window { get; init; }

    /// <summary>The automatic 64-bit window does not start below.</summary>
    public GuestAddress Mmio64Start { get; init; } = new(FourGiB);

    /// <summary>The I/O ports that BARs and bridge windows may use. Starts above 0xFFF because ports below belong to the board.</summary>
    public IReadOnlyList<AddressRange> IoWindows { get; init; } = [new(new GuestAddress(0x1000), 0xF000)];

    /// <summary>The ECAM range of the first host bridge's segment, or null on a board without one.</summary>
    public EcamDemand? Ecam { get; init; } = new(256UL << 20, new GuestAddress(0xB000_0000));

    /// <summary>
    /// ECAM ranges of further PCI segments, by segment. A segment that a host bridge names and nobody lists gets 256 MiB where there is room; none when
    /// <see cref="Ecam"/> is null.
    /// </summary>
    public IReadOnlyDictionary<uint, EcamDemand> SegmentEcams { get; init; } = new Dictionary<uint, EcamDemand>();

    /// <summary>How the low hole gets its size.</summary>
    public LowHole Hole { get; init; }

    /// <summary>
    /// Memory that no BAR, window or ECAM may be placed on. RAM and ECAM need not be listed; RAM moves out of those with <see cref="ReservedRange.RamAvoids"/>.
    /// </summary>
    public IReadOnlyList<ReservedRange> Reserved { get; init; } = [];

    /// <summary>I/O ports inside <see cref="IoWindows"/> that nothing may be placed on.</summary>
    public IReadOnlyList<ReservedRange> ReservedIo { get; init; } = [];

    /// <summary>What a PC's processors take as interrupts and its IOMMU does not translate: local APICs and MSI (SDM 3A 11.4.1, 11.11.1).</summary>
    public static AddressRange MessageWindow { get; } = new(new GuestAddress(0xFEE0_0000), 0x10_0000);

    /// <summary>
    /// What every Q35 board reserves below 4 GiB: IOAPIC, HPET, the MSI window and the firmware flash of up to 16 MiB (Intel 3 Series datasheet, system address
    /// map).
    /// </summary>
    public static IReadOnlyList<ReservedRange> Q35Reserved { get; } =
    [
        new(new AddressRange(new GuestAddress(0xFEC0_0000), 0x1000), "the I/O APIC"),
        new(new AddressRange(new GuestAddress(0xFED0_0000), 0x1000), "the HPET"),
        new(MessageWindow, "the local APIC and MSI window"),
        new(new AddressRange(new GuestAddress(0xFF00_0000), 0x100_0000), "the firmware flash"),
    ];

    /// <summary>
    /// What AMD hosts route to HyperTransport instead of memory (AMD IOMMU specification, special address ranges): no BAR there can be mapped for DMA.
    /// </summary>
    public static ReservedRange HyperTransport { get; } =
        new(new AddressRange(new GuestAddress(0xFD_0000_0000), 0x3_0000_0000), "the AMD HyperTransport range", ReservedKind.HyperTransport);

    /// <summary>A Q35 board: ECAM at 0xB0000000, RAM below it, <see cref="Q35Reserved"/> kept free.</summary>
    public static PlatformLimits Q35(ulong ramSize, int physicalAddressBits) =>
        new() { RamSize = ramSize, PhysicalAddressBits = physicalAddressBits, Reserved = Q35Reserved };

    /// <summary>An i440fx board: conventional PCI without ECAM, RAM below 0xC0000000, the same ranges as <see cref="Q35Reserved"/> kept free.</summary>
    public static PlatformLimits I440fx(ulong ramSize, int physicalAddressBits) => new()
    {
        RamSize = ramSize,
        PhysicalAddressBits = physicalAddressBits,
        Reserved = Q35Reserved,
        Ecam = null,
        LowRamCeiling = 0xC000_0000,
    };

    /// <summary>A machine of Arm's kind: RAM from <see cref="VirtMap.RamBase"/>, the low hole and the board's devices below it.</summary>
    public static PlatformLimits Virt(ulong ramSize, int physicalAddressBits)
    {
        bool wide = physicalAddressBits >= VirtMap.WideAddressBits;
        return new()
        {
            RamSize = ramSize,
            PhysicalAddressBits = physicalAddressBits,
            RamBase = VirtMap.RamBase,
            LowRamCeiling = VirtMap.Mmio32.Start.Value,
            LowRamFloor = VirtMap.Mmio32.Start.Value,
            Mmio32End = VirtMap.Mmio32.Last + 1,
            Mmio64Start = wide ? VirtMap.Mmio64Start : new(FourGiB),
            Reserved = VirtMap.Reserved,
            Ecam = wide ? new EcamDemand(VirtMap.EcamSize, null) { Preferred = VirtMap.EcamStart }
                : new EcamDemand(VirtMap.LowEcam.Size, VirtMap.LowEcam.Start),
        };
    }
}
