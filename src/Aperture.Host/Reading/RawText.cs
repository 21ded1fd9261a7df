using Aperture.Host.Model;
using Aperture.Pci.Registers;

namespace Aperture.Host.Reading;

/// <summary>What <c>lspci -v</c> and <c>-vv</c> print of a function besides its regions. Null and false mean "not printed".</summary>
internal sealed class RawText
{
    /// <summary>True when a <c>Flags</c> or <c>Control</c> line was there: the function was listed with <c>-v</c> at least.</summary>
    internal bool IsVerbose { get; set; }

    /// <summary>The command register's bits as <c>-vv</c> prints them.</summary>
    internal PciCommand? Command { get; set; }

    /// <summary>True when some region of the dump has a size: the kernel told lspci what exists, so a register that no line shows is no BAR.</summary>
    internal bool TellsSizes { get; set; }

    /// <summary>True when the list of capabilities could be read (it takes root).</summary>
    internal bool ShowsCapabilities { get; set; }

    /// <summary>True when an extended capability is among them.</summary>
    internal bool ShowsExtended { get; set; }

    /// <summary>Bus numbers and windows.</summary>
    internal HostPciBridge? Bridge { get; set; }

    /// <summary>True for the windows of a CardBus bridge.</summary>
    internal bool IsCardBus { get; set; }

    internal HostPcie? Pcie { get; set; }

    /// <summary>True when the port can forward by alternative routing ids, whether it does or not.</summary>
    internal bool OffersAriForwarding { get; set; }

    internal HostAcs? Acs { get; set; }

    internal HostAts? Ats { get; set; }

    internal bool HasAri { get; set; }

    internal HostSriov? Sriov { get; set; }

    internal List<HostResizableBar> ResizableBars { get; } = [];

    internal List<HostResizableBar> ResizableVfBars { get; } = [];

    /// <summary>Entries of Enhanced Allocation, in order.</summary>
    internal List<RawAllocation> Allocations { get; } = [];

    /// <summary>True when the details of capabilities are printed (<c>-vv</c>), so that what is missing is not there.</summary>
    internal bool KnowsExtended => Command is not null && ShowsCapabilities && (ShowsExtended || Pcie is null);
}

/// <summary>An entry of Enhanced Allocation as printed.</summary>
/// <param name="Enabled">Whether it holds.</param>
/// <param name="Equivalent">The BAR equivalent indicator's code.</param>
/// <param name="Property">The primary property's code.</param>
/// <param name="Base">The first address.</param>
/// <param name="MaxOffset">The last address less the first.</param>
internal readonly record struct RawAllocation(bool Enabled, int Equivalent, byte Property, ulong Base, ulong MaxOffset);
