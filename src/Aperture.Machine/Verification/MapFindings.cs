using Aperture.Memory.Faulting;
using Aperture.Pci;

namespace Aperture.Machine.Verification;

/// <summary>A BAR as a running machine has it.</summary>
/// <param name="Index">0 to 5, or <see cref="BarKinds.RomIndex"/>.</param>
/// <param name="Size">Bytes.</param>
/// <param name="Address">What its register says.</param>
/// <param name="IsEnabled">The guest has decoding on for it.</param>
/// <param name="DecodedAt">Where it decodes; null when it does not.</param>
/// <param name="Refusal">Why it does not decode although the guest has decoding on; null when it does.</param>
/// <param name="Owners">Names of the regions that answer behind it; empty when nothing does.</param>
/// <param name="LastWrite">The guest's latest write of its register, as a clause (<c>the guest wrote 0x... at 1.234 s</c>); null when there was none.</param>
public sealed record FoundBar(
    int Index, ulong Size, GuestAddress Address, bool IsEnabled, GuestAddress? DecodedAt, string? Refusal, IReadOnlyList<string> Owners, string? LastWrite);

/// <summary>A function as a running machine has it.</summary>
/// <param name="Name">The user's id.</param>
/// <param name="Place">Its address by the bus numbers programmed now.</param>
/// <param name="Bars">Its BARs.</param>
/// <param name="Bridge">Set for bridges.</param>
/// <param name="LastWindowWrite">The guest's latest write of a bridge's bus numbers or windows, as a clause; null when there was none.</param>
public sealed record FoundFunction(string Name, Bdf Place, IReadOnlyList<FoundBar> Bars, BridgeState? Bridge, string? LastWindowWrite);

/// <summary>A run of guest memory and who is there.</summary>
/// <param name="Range">The addresses.</param>
/// <param name="Owner">The region's name.</param>
/// <param name="IsRam">Memory stands behind it; else accesses go to a device.</param>
/// <param name="IsReadOnly">The guest's writes do not reach that memory.</param>
public sealed record FoundRange(AddressRange Range, string Owner, bool IsRam, bool IsReadOnly = false);

/// <summary>Memory that is in no slot.</summary>
/// <param name="Range">The addresses.</param>
/// <param name="Owner">The region's name.</param>
/// <param name="Reason">Why, in one sentence.</param>
public sealed record FoundTrapped(AddressRange Range, string Owner, string Reason);

/// <summary>Pages that a server granted, and that are in place.</summary>
/// <param name="Range">The addresses.</param>
/// <param name="Source">The number of what they are from, as the server counts; null for pages that stand for a moment where a touch was refused.</param>
/// <param name="SourceOffset">Where in it the first is, in bytes.</param>
/// <param name="IsWritable">The guest may write.</param>
public sealed record FoundGrant(AddressRange Range, ulong? Source, ulong SourceOffset, bool IsWritable);

/// <summary>Memory whose pages come when the guest touches them.</summary>
/// <param name="Range">The addresses.</param>
/// <param name="Owner">The region's name.</param>
/// <param name="Grants">What is in place, by address.</param>
/// <param name="Counts">What happened so far.</param>
/// <param name="Difference">Where what is granted is not what this process has mapped, as a sentence; null when they agree.</param>
public sealed record FoundGranted(AddressRange Range, string Owner, IReadOnlyList<FoundGrant> Grants, FaultCounts Counts, string? Difference);

/// <summary>What a running machine has: its registers, its flat view, its memory slots, its IOMMU mappings. A snapshot.</summary>
public sealed record MapFindings
{
    /// <summary>The operating system has the machine; false while firmware has it.</summary>
    public bool IsHandedOver { get; init; } = true;

    /// <summary>Every function.</summary>
    public required IReadOnlyList<FoundFunction> Functions { get; init; }

    /// <summary>The ECAM window that decodes.</summary>
    public required AddressRange? Ecam { get; init; }

    /// <summary>The flat view of memory, by rising address.</summary>
    public required IReadOnlyList<FoundRange> View { get; init; }

    /// <summary>The hypervisor's memory slots; null where it has none.</summary>
    public required IReadOnlyList<FoundRange>? Slots { get; init; }

    /// <summary>RAM that is in no slot, with the reason.</summary>
    public required IReadOnlyList<FoundTrapped> Trapped { get; init; }

    /// <summary>Memory of the view whose pages come at a touch, by address.</summary>
    public IReadOnlyList<FoundGranted> Granted { get; init; } = [];

    /// <summary>RAM that only system management mode sees, and nobody is to find; null when there is none.</summary>
    public AddressRange? HiddenRam { get; init; }

    /// <summary>What the IOMMU maps for assigned devices; null when no device is assigned.</summary>
    public IReadOnlyList<IommuMapping>? Iommu { get; init; }

    /// <summary>The same for each device that another process serves.</summary>
    public IReadOnlyList<ServerMappings> Servers { get; init; } = [];
}
