using Aperture.Firmware.Platform;

namespace Aperture.Firmware.Acpi;

/// <summary>Refuses descriptions whose numbers the tables' fields cannot hold.</summary>
internal static class PlatformCheck
{
    private const int MostProcessors = 254;

    public static void Check(PlatformDescription platform)
    {
        Demand(platform.ApicIds.Count is > 0 and <= MostProcessors, $"{platform.ApicIds.Count} processors cannot be described: 1 to {MostProcessors} can");
        foreach (uint id in platform.ApicIds)
        {
            Demand(id <= Madt.LargestApicId, $"APIC id {id} is above {Madt.LargestApicId}, the largest a local APIC entry can say");
        }

        CheckWindows(platform.HostBridge);
        Demand(platform.IoApic.Address.Value <= uint.MaxValue, $"the I/O APIC at {platform.IoApic.Address} lies above 4 GiB");
        Demand(platform.LocalApic.Value <= uint.MaxValue, $"the local APIC at {platform.LocalApic} lies above 4 GiB");
        Demand(platform.Hpet is null || platform.Hpet.Range.Last.Value <= uint.MaxValue, $"the event timers at {platform.Hpet?.Range} lie above 4 GiB");
        if (platform.Ecam is { } ecam)
        {
            ulong size = (ulong)(ecam.LastBus - ecam.FirstBus + 1) << 20;
            Demand(
                ecam.LastBus >= ecam.FirstBus && ecam.Range.Size == size,
                $"the ECAM window {ecam.Range} does not hold the buses {ecam.FirstBus} to {ecam.LastBus} at 1 MiB each");
            Demand(
                ecam.Range.Start.Value >= (ulong)ecam.FirstBus << 20,
                $"the ECAM window {ecam.Range} puts bus 0 below address 0");
            foreach (AddressRange memory in platform.HostBridge.Memory32.Concat(platform.HostBridge.Memory64))
            {
                Demand(!memory.Overlaps(ecam.Range), $"the host bridge's memory window {memory} overlaps the ECAM window {ecam.Range}");
            }
        }

        foreach (PciInterruptRoute route in platform.InterruptRoutes)
        {
            Demand(route is { Device: < 32, Pin: < 4 }, $"there is no pin {route.Pin} of device {route.Device} on a PCI bus");
        }

        foreach (IsaInterruptOverride isa in platform.IsaOverrides)
        {
            Demand(isa.IsaIrq < 16, $"there is no ISA interrupt {isa.IsaIrq}");
        }

        foreach (SerialPortDescription port in platform.SerialPorts)
        {
            Demand(port.Irq < 16, $"serial port 0x{port.Port:x} has no ISA interrupt {port.Irq}");
        }

        Demand(platform.SerialPorts.Count <= 4, $"{platform.SerialPorts.Count} serial ports cannot be described: 4 can");
        Demand(platform.SoftOffSleepType < 8, $"sleep type {platform.SoftOffSleepType} does not fit PM1 control's three bits");
        Demand(platform.Pm.Base + platform.Pm.Length <= 0x1_0000, $"the power management ports at 0x{platform.Pm.Base:x} pass 0xffff");
    }

    private static void CheckWindows(HostBridgeWindows bridge)
    {
        Demand(bridge.FirstBus <= bridge.LastBus, $"the host bridge's buses {bridge.FirstBus} to {bridge.LastBus} are in the wrong order");
        foreach (AddressRange io in bridge.Io)
        {
            Demand(
                !io.IsEmpty && io.Last.Value <= 0xFFFF && !io.Overlaps(new AddressRange(new GuestAddress(0xCF8), 8)),
                $"the I/O window {io} is empty, passes 0xffff or covers the configuration ports 0xcf8-0xcff");
        }

        foreach (AddressRange memory in bridge.Memory32)
        {
            Demand(!memory.IsEmpty && memory.Last.Value <= uint.MaxValue, $"the 32-bit memory window {memory} is empty or passes 4 GiB");
        }

        foreach (AddressRange memory in bridge.Memory64)
        {
            Demand(!memory.IsEmpty, $"the 64-bit memory window {memory} is empty");
        }
    }

    private static void Demand(bool holds, string otherwise)
    {
        if (!holds)
        {
            throw new ApertureException(otherwise);
        }
    }
}
