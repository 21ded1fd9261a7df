using Aperture.Host.Model;

namespace Aperture.Host.Building;

/// <summary>Finds a machine's VFs, and completes them and their PFs from each other.</summary>
internal static class VirtualFunctions
{
    /// <summary>
    /// Finds VFs by their routing ids where the source does not name their PF (PCI Express 5.0, section 9.2.1.2), and gives them the ids that they do not show.
    /// </summary>
    internal static void Link(Dictionary<PciAddress, HostFunction> functions)
    {
        // By what is there, not by what a PF claims: 65535 VFs for each of thousands of PFs would take long to look for.
        ILookup<uint, PciAddress> candidates = functions.Values.Where(static function => function.Bridge is null && function.Sriov is null)
            .Select(static function => function.Address).ToLookup(static address => address.Domain);
        foreach (HostFunction pf in functions.Values.Where(static function => function.Sriov is { NumVfs: > 0 }).OrderBy(static function => function.Address)
            .ToList())
        {
            HostSriov sriov = pf.Sriov!;
            foreach (PciAddress address in candidates[pf.Address.Domain].Where(address => IsVfOf(address, pf.Address, sriov)))
            {
                HostFunction vf = functions[address];
                bool nameless = vf.Identity.Vendor == 0xFFFF;
                functions[address] = vf with
                {
                    PhysicalFunction = vf.PhysicalFunction ?? pf.Address,
                    Identity = nameless ? vf.Identity with { Vendor = pf.Identity.Vendor, Device = sriov.VfDeviceId } : vf.Identity,
                };
            }
        }

        foreach (IGrouping<PciAddress, HostFunction> vfs in functions.Values.Where(static function => function.IsVirtualFunction)
            .GroupBy(vf => vf.PhysicalFunction!.Value).ToList())
        {
            if (functions.GetValueOrDefault(vfs.Key) is { Sriov: { } sriov } pf)
            {
                functions[pf.Address] = pf with { Sriov = SizedBy(sriov, vfs) };
            }
        }

        foreach (HostFunction vf in functions.Values.Where(static function => function.IsVirtualFunction).ToList())
        {
            // Memory enable is hard-wired to 0 in a VF; the PF's SR-IOV control turns on all of them (PCI Express 5.0, section 9.3.3.3.4).
            IEnumerable<HostBar> bars = vf.Bars.IsEmpty && functions.GetValueOrDefault(vf.PhysicalFunction!.Value) is { } pf ? BarsOf(vf, pf) : vf.Bars;
            functions[vf.Address] = vf with { Bars = [.. bars.Select(static bar => bar with { Enabled = bar.Assigned })] };
        }
    }

    /// <summary>The size that a PF's registers do not tell, from the VFs' own listing.</summary>
    private static HostSriov SizedBy(HostSriov sriov, IEnumerable<HostFunction> vfs) => sriov with
    {
        VfBars =
        [
            .. sriov.VfBars.Select(bar => bar.Origin != SizeOrigin.Unknown
                || vfs.SelectMany(static vf => vf.Bars).FirstOrDefault(own => own.Index == bar.Index && own.Origin == SizeOrigin.Known) is not { } own
                ? bar
                : bar with { Size = own.Size, Origin = SizeOrigin.Known }),
        ],
    };

    /// <summary>
    /// What a VF decodes follows from its PF's registers and its number (PCI Express 5.0, section 9.3.3.14), where the source does not list it.
    /// </summary>
    private static IEnumerable<HostBar> BarsOf(HostFunction vf, HostFunction pf)
    {
        if (pf.Sriov is not { } sriov || vf.Address.Domain != pf.Address.Domain)
        {
            yield break;
        }

        int distance = vf.Address.Bdf.RoutingId - pf.Address.Bdf.RoutingId - sriov.FirstVfOffset;
        ulong number = (ulong)Math.Max(0, sriov.VfStride == 0 ? 0 : distance / sriov.VfStride);
        foreach (HostVfBar bar in sriov.VfBars.Where(static bar => bar.Origin == SizeOrigin.Known))
        {
            GuestAddress? address = bar.Address is { } first && AddressRange.Fits(first, bar.Size * (number + 1)) ? first + (bar.Size * number) : null;
            yield return new HostBar(bar.Index, bar.Kind, address, bar.Size, SizeOrigin.Known);
        }
    }

    /// <summary>The n-th VF's routing id is the PF's plus the offset plus n strides.</summary>
    private static bool IsVfOf(PciAddress address, PciAddress pf, HostSriov sriov)
    {
        int distance = address.Bdf.RoutingId - pf.Bdf.RoutingId - sriov.FirstVfOffset;
        int count = Math.Min(sriov.NumVfs, sriov.TotalVfs);
        return sriov.VfStride == 0
            ? distance == 0 && count > 0
            : distance >= 0 && distance % sriov.VfStride == 0 && distance / sriov.VfStride < count;
    }
}
