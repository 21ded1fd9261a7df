using System.Numerics;
using Aperture.Host.Model;
using Aperture.Pci;
using Aperture.Placement.Platforms;

namespace Aperture.Doctor.Checks;

/// <summary>Whether the addresses of the devices' BARs can exist in a guest, and be reached by DMA: processor, IOMMU, AMD's HyperTransport range.</summary>
internal static class AddressBitsCheck
{
    private const string Name = "address-bits";
    private const uint HostBridgeClass = 0x0600;

    internal static IEnumerable<Verdict> Look(Examination examination)
    {
        List<(HostFunction Device, HostBar Bar, AddressRange Range)> bars = [.. from device in examination.Devices
            from bar in device.Bars
            where bar.Kind.IsMemory() && bar.Range is not null
            select (device, bar, bar.Range!.Value)];
        if (bars.Count != 0)
        {
            (HostFunction device, HostBar bar, AddressRange range) = bars.MaxBy(static item => item.Range.Last.Value);
            yield return Processor(examination, device, bar, Bits(range));
            if (IommuCheck.Bits(examination.System) is { } width && Bits(range) > width)
            {
                yield return new Verdict(VerdictKind.Cannot, Name, [device.Address],
                    $"The IOMMU translates {width} address bits, and {BarKinds.BarName(bar.Index)} of {device.Address} needs {Bits(range)}: no peer "
                        + "reaches it at the host's address.",
                    $"{Examination.Describe(bar)}; /sys/class/iommu")
                {
                    Goals = Goals.P2p | Goals.GpuDirect | Goals.Mirror,
                    Changes = ["lower MMIO High Base in the firmware setup"],
                };
            }
        }

        if (IsAmd(examination))
        {
            AddressRange hole = PlatformLimits.HyperTransport.Range;
            List<HostFunction> inside = [.. bars.Where(item => item.Range.Overlaps(hole)).Select(static item => item.Device).Distinct()];
            ulong? memory = examination.Host.NumaNodes is { IsEmpty: false } nodes && nodes.All(static node => node.MemoryBytes is not null)
                ? nodes.Aggregate(0UL, static (sum, node) => sum + node.MemoryBytes!.Value) : null;
            bool small = memory < hole.Start.Value;
            yield return inside.Count == 0
                ? new Verdict(small ? VerdictKind.Good : VerdictKind.Note, Name, [],
                    small ? $"No guest's RAM reaches {hole}, which is HyperTransport's on AMD's hosts."
                        : $"{hole} is HyperTransport's on this host: no DMA gets through it, so a guest with more than 1012 GiB of RAM has to have RAM "
                            + "around it (Aperture's plan does; QEMU from 7.1 on).",
                    $"an AMD or Hygon processor or host bridge; the host's memory is {(memory is { } bytes ? ByteSize.Format(bytes) : "not told")}")
                : new Verdict(VerdictKind.Should, Name, Examination.Addresses(inside),
                    $"{Examination.Names(inside)}: BARs lie in {hole}, which is HyperTransport's: no peer can be given them at the host's address.",
                    string.Join(", ", inside[0].Bars.Where(static bar => bar.Kind.IsMemory()).Select(Examination.Describe)))
                {
                    Changes = ["move MMIO High Base in the firmware setup"],
                };
        }
    }

    private static Verdict Processor(Examination examination, HostFunction device, HostBar bar, int needed)
    {
        string what = $"{BarKinds.BarName(bar.Index)} of {device.Address}";
        string seen = $"{Examination.Place(device, "resource")}: {Examination.Describe(bar)}";
        if (examination.System.Processor?.AddressBits is not { } bits)
        {
            return new Verdict(VerdictKind.Unknown, Name, [device.Address],
                $"A guest with the host's addresses needs {needed} address bits (for {what}); how many this processor has is not known.", seen)
            {
                Changes = ["grep -m1 'address sizes' /proc/cpuinfo"],
            };
        }

        string sizes = $"{seen}; /proc/cpuinfo: address sizes {bits} bits physical";
        return needed > bits
            ? new Verdict(VerdictKind.Cannot, Name, [device.Address], $"{what} needs {needed} address bits, the processor has {bits}: it is reached by "
                + "nobody.", sizes)
            {
                Changes = ["lower MMIO High Base in the firmware setup, or update the firmware"],
            }
            : new Verdict(VerdictKind.Good, Name, [device.Address],
                $"A guest with the host's addresses needs {needed} address bits (for {what}); the processor has {bits}.", sizes)
            {
                Changes = needed > 40 ? ["with QEMU: -cpu host,host-phys-bits=on, whose guests have 40 bits otherwise"] : [],
            };
    }

    private static int Bits(AddressRange range) => 64 - BitOperations.LeadingZeroCount(range.Last.Value);

    private static bool IsAmd(Examination examination) => examination.System.Processor?.Vendor is "AuthenticAMD" or "HygonGenuine"
        || examination.Host.Functions.Any(static function => function.Identity is { Vendor: 0x1022 or 0x1D94 } id && id.ClassCode >> 8 == HostBridgeClass);
}
