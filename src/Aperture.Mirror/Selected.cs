using Aperture.Host.Model;
using Aperture.Host.Reports;
using Aperture.Pci;

namespace Aperture.Mirror;

/// <summary>Decides which of the functions asked for become functions of the guest, and says why others do not.</summary>
internal static class Selected
{
    private const uint HostBridgeClass = 0x0600;
    private const uint IsaBridgeClass = 0x0601;

    // Linux numbers the domains behind a device, such as Intel's VMD, from here (drivers/pci/controller/vmd.c).
    private const uint FirstVirtualDomain = 0x10000;

    /// <summary>The functions to mirror, in address order.</summary>
    public static List<HostFunction> From(HostMachine host, MirrorSelection selection, MirrorUse use, LeftOut left, MirrorNotes notes)
    {
        IReadOnlyList<HostFunction> asked = selection.Of(host);
        HashSet<PciAddress> names = [.. asked.Select(function => function.Address)];
        List<HostFunction> kept = [];
        foreach (HostFunction function in asked)
        {
            if ((ReasonAgainst(function, names, asked) ?? VfReason(host, function, selection, use, names) ?? left.ReasonFor(function)) is { } reason)
            {
                notes.Add(reason, Describe(function));
            }
            else
            {
                kept.Add(function);
            }
        }

        return kept;
    }

    /// <summary>True for the functions of a chipset that a guest has its own of.</summary>
    public static bool IsPlatform(HostFunction function) =>
        function.Bridge is null && function.Identity.ClassCode >> 8 is HostBridgeClass or IsaBridgeClass;

    private static string? ReasonAgainst(HostFunction function, HashSet<PciAddress> names, IReadOnlyList<HostFunction> asked)
    {
        if (IsPlatform(function))
        {
            return "Not mirrored, because a guest has its own host bridge and ISA bridge (their places stay free, or hold a function without BARs where one is "
                + "needed)";
        }

        return function.Address.Domain >= FirstVirtualDomain && IsInside(function, asked)
            ? "Not mirrored as functions of their own, because they stand behind another mirrored function, whose BAR holds theirs"
            : null;
    }

    private static string? VfReason(HostMachine host, HostFunction function, MirrorSelection selection, MirrorUse use, HashSet<PciAddress> names)
    {
        if (function.PhysicalFunction is not { } address || !names.Contains(address))
        {
            return null;
        }

        if (use == MirrorUse.Assign)
        {
            // One that was named beside its PF is refused by whoever opens it.
            return selection.Named.Contains(function.Address) ? null : "Not mirrored, because whoever has a physical function has its VFs";
        }

        return host.Find(address)?.Sriov is { VfBars: { IsEmpty: false } bars } && bars.All(static bar => bar.Address is not null && bar.Size != 0)
            ? "Not mirrored as functions of their own, because these VFs come with their physical function, whose VF BARs are mirrored"
            : null;
    }

    /// <summary>True when all that the function decodes lies in a BAR of a function of an ordinary domain.</summary>
    private static bool IsInside(HostFunction function, IReadOnlyList<HostFunction> asked)
    {
        List<AddressRange> own = [.. function.AllBars.Where(bar => bar.Kind.IsMemory() && bar.Range is not null).Select(bar => bar.Range!.Value)];
        own.AddRange(new[] { function.Bridge?.Memory, function.Bridge?.Prefetchable }.OfType<AddressRange>());
        return own.Count > 0 && own.All(range => asked.Any(
            other => other.Address.Domain < FirstVirtualDomain && other.AllBars.Any(bar => bar.Kind.IsMemory() && bar.Range?.Contains(range) == true)));
    }

    private static string Describe(HostFunction function)
    {
        string bars = string.Join(
            ' ', function.AllBars.Where(bar => bar.Range is not null && !bar.Fixed).Select(bar => $"{BarKinds.BarName(bar.Index)} {bar.Range}"));
        return $"{function.Address} ({PciClassNames.Find(function.Identity.ClassCode)}{(bars.Length > 0 ? ", with " + bars : "")})";
    }
}
