using Aperture.Firmware.Platform;

namespace Aperture.Firmware.Tests.Acpi;

/// <summary>Machines whose tables are checked with ACPICA's tools.</summary>
internal static class SamplePlatforms
{
    public static readonly GuestAddress TablesAt = new(0xE_0000);

    public static string[] Names { get; } = ["small", "large", "no-ecam", "high-ecam", "i440fx", "bare"];

    public static PlatformDescription Get(string name) => name switch
    {
        "small" => Q35(1, Ecam(0xB000_0000, 255), [Range(0x10_0000_0000, 0x20_0000_0000)]),
        "large" => Q35(
            64,
            Ecam(0xE000_0000, 255),
            [Range(0x10_0000_0000, 0x20_0000_0000), Range(0x6B80_0000_0000, 0x10_0000_0000), Range(0xFFFF_0000_0000, 0xFFFF_0000)])
            with
        {
            HasVga = true,
            PreserveBootConfiguration = false,
            GrantedControl = PcieControl.CapabilityStructure | PcieControl.AdvancedErrorReporting,
            SoftOffSleepType = 5,
        },
        "no-ecam" => Q35(2, null, []),
        "high-ecam" => Q35(4, Ecam(0x40_1000_0000, 63), [Range(0x80_0000_0000, 0x80_0000_0000)])
            with
        {
            SmiCommandPort = 0xB2,
            SerialPorts = [SerialPortDescription.Com1, new SerialPortDescription(0x2F8, 3)],
        },
        "i440fx" => Q35(1, null, []) with
        {
            Board = BoardKind.I440Fx,
            Pm = new PmBlocks(0x600, 0xAFE0, 4, 64),
        },
        "bare" => Q35(1, null, []) with
        {
            HasRtc = false,
            HasI8042 = false,
            SerialPorts = [],
            InterruptRoutes = [],
            IsaOverrides = [],
            Pm = new PmBlocks(0x600, 0, 0, 0),
            Hpet = null,
        },
        _ => throw new ArgumentOutOfRangeException(nameof(name)),
    };

    public static HpetDescription Timers { get; } = new(Range(0xFED0_0000, 0x400), 0x8086_2201, 0x1234);

    public static AddressRange Range(ulong start, ulong size) => new(new GuestAddress(start), size);

    private static EcamRegion Ecam(ulong start, byte lastBus) => new(Range(start, (lastBus + 1UL) << 20), 0, 0, lastBus);

    private static PlatformDescription Q35(int processors, EcamRegion? ecam, IReadOnlyList<AddressRange> high) => new()
    {
        ApicIds = [.. Enumerable.Range(0, processors).Select(static id => (uint)id)],
        Ram = [Range(0, 0x8000_0000), Range(0x1_0000_0000, 0x8000_0000)],
        Ecam = ecam,
        Hpet = Timers,
        HostBridge = new HostBridgeWindows(
            0,
            ecam?.LastBus ?? 255,
            HostBridgeWindows.StandardIo,
            ecam is { Range.Start.Value: 0xB000_0000 }
                ? [Range(0x8000_0000, 0x3000_0000), Range(0xC000_0000, 0x3EC0_0000)]
                : [Range(0x8000_0000, 0x6000_0000)],
            high),
        InterruptRoutes =
        [
            .. from device in Enumerable.Range(0, 32)
               from pin in Enumerable.Range(0, 4)
               select new PciInterruptRoute((byte)device, (byte)pin, (uint)(16 + (device + pin) % 8)),
        ],
    };
}
