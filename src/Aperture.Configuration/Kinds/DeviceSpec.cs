using Aperture.Pci;
using Aperture.Placement.Request;

namespace Aperture.Configuration.Kinds;

/// <summary>A device as the user described it, checked for form; each kind has its own.</summary>
public abstract record DeviceSpec
{
    /// <summary>Its kind.</summary>
    public abstract DeviceKind Kind { get; }

    /// <summary>The files of the host that it uses.</summary>
    public virtual IEnumerable<HostFile> Files => [];
}

/// <summary>A device on PCI.</summary>
public abstract record PciDeviceSpec : DeviceSpec
{
    /// <summary>The user's name for it, or null when none was given.</summary>
    public string? Id { get; init; }

    /// <summary>The root or downstream port it is plugged into, or null for the root bus.</summary>
    public string? Port { get; init; }

    /// <summary>Its place on that bus, or null for the next free one.</summary>
    public byte? DeviceFunction { get; init; }

    /// <summary>BARs with an address of the user's, each once.</summary>
    public IReadOnlyList<BarPin> Pins { get; init; } = [];

    /// <summary>What happens when the guest moves a pinned BAR.</summary>
    public BarPinPolicy Policy { get; init; }

    /// <summary>The BARs that it asks the address map for, pinned ones with their address; empty for a device whose BARs only its host knows.</summary>
    public IReadOnlyList<BarDemand> Demands => [.. Bars.Select(bar => bar with { Pin = PinOf(bar.Index) })];

    /// <summary>What its SR-IOV capability asks for besides VF BARs; null without one.</summary>
    public virtual SriovDemand? Sriov => null;

    /// <summary>The same without pins, the ROM among them.</summary>
    protected virtual IEnumerable<BarDemand> Bars => [];

    private GuestAddress? PinOf(int index)
    {
        foreach (BarPin pin in Pins)
        {
            if (pin.Index == index)
            {
                return pin.Address;
            }
        }

        return null;
    }
}
