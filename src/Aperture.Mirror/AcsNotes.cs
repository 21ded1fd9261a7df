using Aperture.Host.Model;
using Aperture.Placement.Map;

namespace Aperture.Mirror;

/// <summary>Says what access control the mirrored ports have: it decides whether peer-to-peer requests go straight or to the IOMMU.</summary>
internal static class AcsNotes
{
    public static void Add(IReadOnlyList<HostFunction> functions, MirrorNotes notes)
    {
        foreach (HostFunction function in functions.Where(function => function.Acs is not null))
        {
            notes.Add($"ACS {function.Acs!.Describe()}", function.Address.ToString());
        }

        List<HostFunction> unknown = [.. functions.Where(function => function is { Bridge: not null, Acs: null, KnowsExtendedConfig: false })];
        if (unknown.Count > 0)
        {
            notes.Add("ACS not known, because their extended configuration space is not part of the description",
                string.Join(", ", unknown.Select(function => function.Address)));
        }
    }
}

/// <summary>Explains overlaps that come from bus addresses of different domains.</summary>
internal static class TranslationNotes
{
    public static void Add(PlacementResult result, MirrorNotes notes)
    {
        bool across = result.Conflicts.Any(conflict => PciAddress.TryParse(conflict.Demand.Function, out PciAddress left)
            && PciAddress.TryParse(conflict.Obstacle?.Function, out PciAddress right) && left.Domain != right.Domain);
        if (across)
        {
            notes.Add("Domains of this host use the same bus addresses, each behind a host bridge that translates; a guest has one address space, so mirror "
                + "the functions of one such domain");
        }
    }
}
