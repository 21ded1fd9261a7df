namespace Aperture.Placement.Platforms;

/// <summary>
/// The fixed places of a machine of Arm's kind, below its RAM: those that Arm's firmware and other monitors know by the name of virt. Whoever describes, builds
/// or plans the machine reads them here.
/// </summary>
public static class VirtMap
{
    /// <summary>Bytes of one processor's redistributor (Arm IHI 0069, 12.10).</summary>
    public const ulong RedistributorSize = 0x2_0000;

    /// <summary>INTx of the root bus arrives at four shared peripheral interrupts from here on.</summary>
    public const uint IntxSpi = 3;

    /// <summary>Shared peripheral interrupt of the device at <see cref="Uart"/>; the next three are those of the other devices.</summary>
    public const uint UartSpi = 1;

    /// <summary>As <see cref="UartSpi"/>.</summary>
    public const uint RtcSpi = 2;

    /// <summary>As <see cref="UartSpi"/>.</summary>
    public const uint GpioSpi = 7;

    /// <summary>As <see cref="UartSpi"/>.</summary>
    public const uint EventSpi = 9;

    /// <summary>How many shared peripheral interrupts there are.</summary>
    public const int SpiCount = 256;

    /// <summary>The line of the GPIO block that is the power key.</summary>
    public const int PowerKeyLine = 3;

    /// <summary>From this address width on ECAM and the 64-bit window have the places that a guest of any width is used to.</summary>
    internal const int WideAddressBits = 40;

    /// <summary>Bytes of the ECAM window: all 256 buses.</summary>
    internal const ulong EcamSize = 256UL << 20;

    /// <summary>The flash bank with the firmware's code.</summary>
    public static AddressRange FlashCode { get; } = Range(0, 64UL << 20);

    /// <summary>The interrupt controller's distributor.</summary>
    public static AddressRange Distributor { get; } = Range(0x0800_0000, 0x1_0000);

    /// <summary>The interrupt translation service.</summary>
    public static AddressRange Its { get; } = Range(0x0808_0000, 0x2_0000);

    /// <summary>The first 123 redistributors.</summary>
    public static AddressRange Redistributors { get; } = Range(0x080A_0000, 123 * RedistributorSize);

    /// <summary>The serial console.</summary>
    public static AddressRange Uart { get; } = Range(0x0900_0000, 0x1000);

    /// <summary>The clock.</summary>
    public static AddressRange Rtc { get; } = Range(0x0901_0000, 0x1000);

    /// <summary>The firmware configuration device.</summary>
    public static AddressRange FwCfg { get; } = Range(0x0902_0000, 0x18);

    /// <summary>The GPIO block.</summary>
    public static AddressRange Gpio { get; } = Range(0x0903_0000, 0x1000);

    /// <summary>The generic event device, for guests of ACPI.</summary>
    public static AddressRange EventDevice { get; } = Range(0x0908_0000, 0x1000);

    /// <summary>The redistributors of further processors, up to 512 in all.</summary>
    public static AddressRange MoreRedistributors { get; } = Range(0x0C00_0000, 389 * RedistributorSize);

    /// <summary>The usual 32-bit memory window.</summary>
    public static AddressRange Mmio32 { get; } = Range(0x1000_0000, 0x2EFF_0000);

    /// <summary>The memory in which I/O port n is byte n.</summary>
    public static AddressRange Ports { get; } = Range(0x3EFF_0000, 0x1_0000);

    /// <summary>Where ECAM is when addresses are few: 16 buses.</summary>
    public static AddressRange LowEcam { get; } = Range(0x3F00_0000, 16UL << 20);

    /// <summary>Where RAM starts.</summary>
    public static GuestAddress RamBase { get; } = new(0x4000_0000);

    /// <summary>Where ECAM is when nothing else is there.</summary>
    public static GuestAddress EcamStart { get; } = new(0x40_1000_0000);

    /// <summary>Where the 64-bit memory window starts, unless RAM reaches it.</summary>
    public static GuestAddress Mmio64Start { get; } = new(0x80_0000_0000);

    /// <summary>What is kept free of BARs and windows: all below the 32-bit window, and the ports.</summary>
    public static IReadOnlyList<ReservedRange> Reserved { get; } =
    [
        new(Range(0, 128UL << 20), "the firmware flash"),
        new(Range(0x0800_0000, 0x100_0000), "the interrupt controller"),
        new(Range(0x0900_0000, 0x300_0000), "the board's devices"),
        new(Range(0x0C00_0000, 0x400_0000), "the interrupt controller's further redistributors"),
        new(Ports, "the window of the I/O ports"),
    ];

    private static AddressRange Range(ulong start, ulong size) => new(new GuestAddress(start), size);
}
