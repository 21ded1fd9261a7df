using Aperture.Configuration.Kinds;
using Aperture.Host.Model;
using Aperture.Pci;
using Aperture.Placement.Request;

namespace Aperture.Machine.Topology;

/// <summary>What is known of a device's BARs before a guest has it: those with a size of their own that can be elsewhere in the guest.</summary>
/// <param name="Name">What the host calls the device.</param>
/// <param name="Bars">The BARs without the ROM.</param>
/// <param name="Rom">The ROM.</param>
/// <param name="Resizable">Which of them can be resized.</param>
internal sealed record BarsOnHost(string Name, IEnumerable<HostBar> Bars, HostBar? Rom, IReadOnlyList<HostResizableBar> Resizable)
{
    /// <summary>Those of a device that was opened to be asked, which have no addresses on the host.</summary>
    public static BarsOnHost Opened(string name, IReadOnlyList<Assignment.DeviceBar> device)
    {
        List<HostBar> bars = [.. device.Select(bar => new HostBar(bar.Index, bar.Kind, null, bar.Size, SizeOrigin.Known))];
        return new BarsOnHost(name, bars.Where(bar => bar.Index != BarKinds.RomIndex), bars.Find(bar => bar.Index == BarKinds.RomIndex), []);
    }
}

/// <summary>What a device asks of the address map: what it has, with what the user wished.</summary>
internal static class AssignedBars
{
    private const int SmallestRom = 2048;

    /// <summary>The BARs, then the ROM.</summary>
    /// <param name="name">What messages call the device.</param>
    /// <param name="spec">The user's wishes.</param>
    /// <param name="host">What it has.</param>
    /// <exception cref="ApertureException">A wish is about a BAR that it has not, or that cannot be as wished.</exception>
    public static List<BarDemand> Of(string name, AssignedSpec spec, BarsOnHost host)
    {
        List<BarDemand> bars = [];
        foreach (HostBar bar in host.Bars)
        {
            ulong size = Size(name, spec, host, bar);
            bars.Add(new BarDemand(bar.Index, bar.Kind, size, PinOf(name, spec, bar, size)) { PinIsHosts = IsHosts(spec, bar.Index) });
        }

        if (Rom(spec, host) is { } rom)
        {
            bars.Add(rom with
            {
                PinIsHosts = IsHosts(spec, BarKinds.RomIndex),
                Pin = PinOf(name, spec, host.Rom ?? new HostBar(BarKinds.RomIndex, BarKind.Rom, null, 0, SizeOrigin.Unknown), rom.Size),
            });
        }

        foreach (int index in spec.Pins.Select(p => p.Index).Concat(spec.HostPins).Concat(spec.Resizes.Select(r => r.Key)))
        {
            if (!bars.Exists(b => b.Index == index))
            {
                throw new ApertureException(
                    $"{name} has no {BarIndex.Name(index)}; {host.Name} has "
                        + $"{(bars.Count == 0 ? "no BAR" : string.Join(", ", bars.Select(b => BarIndex.Name(b.Index))))}.");
            }
        }

        return bars;
    }

    private static ulong Size(string name, AssignedSpec spec, BarsOnHost host, HostBar bar)
    {
        foreach ((int index, ulong size) in spec.Resizes)
        {
            if (index != bar.Index)
            {
                continue;
            }

            HostResizableBar? offer = host.Resizable.FirstOrDefault(r => r.BarIndex == index);
            if (offer is null || !offer.Offers(size))
            {
                string sizes = offer is null
                    ? "" : string.Join(", ", Enumerable.Range(20, 44).Select(bit => 1UL << bit).Where(offer.Offers).Select(s => ByteSize.Format(s)));
                throw new ApertureException(
                    $"{name} {BarIndex.Name(index)} cannot be resized to {ByteSize.Format(size)}: "
                        + $"{(offer is null ? $"{host.Name} has no resizable {BarIndex.Name(index)}" : $"it offers {sizes}")}.");
            }

            return size;
        }

        return bar.Size;
    }

    private static BarDemand? Rom(AssignedSpec spec, BarsOnHost host)
    {
        ulong size = spec.Rom switch
        {
            AssignedRom.Off => 0,
            AssignedRom.File => FileSize(spec.RomFile!),
            _ => host.Rom?.Size ?? 0,
        };
        return size == 0 ? null : new BarDemand(BarKinds.RomIndex, BarKind.Rom, Math.Max(SmallestRom, System.Numerics.BitOperations.RoundUpToPowerOf2(size)));
    }

    private static ulong FileSize(string path)
    {
        const ulong Largest = 16 << 20;
        try
        {
            return UserFile.Length(path) switch
            {
                null => throw new ApertureException($"rom={path} does not exist."),
                (0 or > Largest) and { } length => throw new ApertureException($"rom={path} has {length} bytes; an expansion ROM has 1 byte to 16 MiB."),
                { } length => length,
            };
        }
        catch (Exception fault) when (fault is IOException or UnauthorizedAccessException)
        {
            throw new ApertureException($"rom={path} cannot be read: {fault.Message}", innerException: fault);
        }
    }

    // What is pinned without an address of the user's goes to the host's.
    private static bool IsHosts(AssignedSpec spec, int index) => !spec.Pins.Any(p => p.Index == index);

    private static GuestAddress? PinOf(string name, AssignedSpec spec, HostBar bar, ulong size)
    {
        foreach (BarPin pin in spec.Pins)
        {
            if (pin.Index == bar.Index)
            {
                return pin.Address;
            }
        }

        bool named = spec.HostPins.Contains(bar.Index);
        if (!named && !(spec.AllAsHost && bar.Index != BarKinds.RomIndex))
        {
            return null;
        }

        if (bar.Address is { } address && bar.Size == size)
        {
            return address;
        }

        if (!named && bar.Address is null)
        {
            return null;
        }

        throw new ApertureException(bar.Address is null
            ? $"{name} {BarIndex.Name(bar.Index)} has no address on the host; give it one with bars={BarIndex.Name(bar.Index)}@ADDRESS, or leave it out."
            : $"{name} {BarIndex.Name(bar.Index)} is resized, so the host will move it and its address is not known yet; pin it with "
                + $"bars={BarIndex.Name(bar.Index)}@ADDRESS, or resize it on the host first and leave resize= out.");
    }
}
