using Aperture.Pci;

namespace Aperture.Cli.Demo;

/// <summary>One BAR of the demo: what was asked, what the guest saw, what Aperture did, and whether they agree.</summary>
internal sealed record DemoRow(
    string Function, string Bar, string Kind, string Size, string Asked, string GuestSees, string Behind, string Touched, bool Agrees)
{
    /// <summary>The table's head.</summary>
    public static string[] Head => ["FUNCTION", "BAR", "KIND", ">SIZE", "ASKED", "GUEST'S LSPCI", "BEHIND IT", "TOUCHED", "VERDICT"];

    /// <summary>The row's cells, under <see cref="Head"/>.</summary>
    public string[] Cells => [Function, Bar, Kind, Size, Asked, GuestSees, Behind, Touched, Agrees ? "ok" : "WRONG"];

    /// <summary>Compares one BAR's three accounts: the user's, the guest's and Aperture's.</summary>
    public static DemoRow Judge(DemoDevice device, DemoBar bar, GuestReport guest, EventReport events)
    {
        string name = BarKinds.BarName(bar.Index);
        string region = $"{device.Id}.{name}";
        var decoded = events.Decoded(region);
        GuestAddress? seen = decoded is { } known ? guest.Region(known.Bdf, bar.Index) : null;
        string touched = decoded is { } place ? guest.Touched(place.Bdf, bar.Index) ?? "no" : "no";
        bool slot = seen is { } address && events.HasSlot(region, address);
        bool agrees = seen is not null
            && seen == decoded?.Address
            && (bar.Pin is null || seen == bar.Pin)
            && slot == bar.Ram
            && touched == "ok";
        return new DemoRow(
            decoded is { } at ? $"{device.Id} {at.Bdf}" : device.Id,
            name,
            bar.Kind.Keyword(),
            ByteSize.Format(bar.Size),
            bar.Pin?.ToString() ?? "any",
            seen?.ToString() ?? "nothing",
            decoded is null ? "never decoded" : slot ? "memory slot" : "trapped",
            touched,
            agrees);
    }
}
