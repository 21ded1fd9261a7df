namespace Aperture.Firmware.Acpi.Arm;

/// <summary>Global system interrupts of a GIC: its INTIDs (ACPI 6.5 5.2.12.14). Private ones come before the shared ones.</summary>
internal static class Gsiv
{
    /// <summary>The private interrupts that Arm's Base System Architecture 1.0 gives the timers and the performance monitors.</summary>
    public const uint HypervisorTimer = 26;

    public const uint VirtualTimer = 27;

    public const uint SecureTimer = 29;

    public const uint PhysicalTimer = 30;

    public const uint PerformanceMonitors = 23;

    private const uint FirstShared = 32;

    /// <summary>That of shared peripheral interrupt <paramref name="spi"/>.</summary>
    public static uint OfSpi(uint spi) => FirstShared + spi;
}
