using System.Globalization;
using System.Numerics;
using Aperture.Host.Model;
using Aperture.Pci.Capabilities;
using Aperture.Pci.Ports;

namespace Aperture.Host.Reading;

/// <summary>One capability of a listing while its lines are read (pciutils, ls-caps.c and ls-ecaps.c).</summary>
internal sealed class LspciCapability(RawText text)
{
    private static readonly (string Name, HostPortType Type)[] PortTypes =
    [
        ("Root Port", HostPortType.RootPort), ("Upstream Port", HostPortType.SwitchUpstream), ("Downstream Port", HostPortType.SwitchDownstream),
        ("PCI-Express to PCI/PCI-X Bridge", HostPortType.PcieToPciBridge), ("PCI/PCI-X to PCI-Express Bridge", HostPortType.PciToPcieBridge),
        ("Legacy Endpoint", HostPortType.LegacyEndpoint), ("Root Complex Integrated Endpoint", HostPortType.RootComplexEndpoint),
        ("Root Complex Event Collector", HostPortType.RootComplexEventCollector), ("Endpoint", HostPortType.Endpoint),
    ];

    private static readonly string[] AcsNames = ["SrcValid", "TransBlk", "ReqRedir", "CmpltRedir", "UpstreamFwd", "EgressCtrl", "DirectTrans"];

    // "Not indicated": the entry stands for no BAR.
    private const int NoEquivalent = 15;

    private Kind _kind;
    private bool _inDeviceControl2;

    private enum Kind
    {
        Other,
        Express,
        Acs,
        Ats,
        Sriov,
        Resizable,
        ResizableVf,
        Allocation,
    }

    /// <summary>Reads what follows <c>Capabilities: [</c>: <c>40] Express (v2) Endpoint, MSI 00</c>, <c>160 v1] Access Control Services</c>.</summary>
    internal void Start(ReadOnlySpan<char> line)
    {
        int end = line.IndexOf(']');
        ReadOnlySpan<char> place = end < 0 ? [] : line[..end];
        ReadOnlySpan<char> name = line[(end + 1)..].Trim();
        text.ShowsExtended |= place.Contains(" v", StringComparison.Ordinal);
        if (LspciScan.After(name, "Express ", out ReadOnlySpan<char> rest) && PortType(rest) is { } type)
        {
            _kind = Kind.Express;
            text.Pcie ??= new HostPcie(type, null, false, null, default, null);
        }
        else if (LspciScan.After(name, "Access Control Services", out _))
        {
            _kind = Kind.Acs;
        }
        else if (LspciScan.After(name, "Address Translation Service", out _))
        {
            _kind = Kind.Ats;
        }
        else if (LspciScan.After(name, "Alternative Routing-ID", out _))
        {
            text.HasAri = true;
        }
        else if (LspciScan.After(name, "Single Root I/O Virtualization", out _))
        {
            _kind = Kind.Sriov;
        }
        else if (LspciScan.After(name, "Enhanced Allocation", out _))
        {
            _kind = Kind.Allocation;
        }
        else if (name.EndsWith("Resizable BAR", StringComparison.Ordinal))
        {
            _kind = name.StartsWith("Virtual", StringComparison.Ordinal) ? Kind.ResizableVf : Kind.Resizable;
        }
    }

    /// <summary>Reads a line below the capability's first.</summary>
    internal void Read(ReadOnlySpan<char> line)
    {
        switch (_kind)
        {
            case Kind.Express:
                ReadExpress(line);
                break;
            case Kind.Acs when LspciScan.After(line, "ACSCap:", out ReadOnlySpan<char> offered):
                text.Acs = new HostAcs(Controls(offered), 0);
                break;
            case Kind.Acs when LspciScan.After(line, "ACSCtl:", out ReadOnlySpan<char> enabled) && text.Acs is { } acs:
                text.Acs = acs with { Enabled = Controls(enabled) };
                break;
            case Kind.Ats when LspciScan.After(line, "ATSCtl:", out ReadOnlySpan<char> control):
                text.Ats = new HostAts(LspciScan.Flag(control, "Enable") == true);
                break;
            case Kind.Sriov:
                ReadSriov(line);
                break;
            case Kind.Resizable or Kind.ResizableVf:
                ReadResizable(line, _kind == Kind.Resizable ? text.ResizableBars : text.ResizableVfBars);
                break;
            case Kind.Allocation:
                ReadAllocation(line);
                break;
            default:
                break;
        }
    }

    private static HostPortType? PortType(ReadOnlySpan<char> name)
    {
        foreach ((string spelled, HostPortType type) in PortTypes)
        {
            if (name.Contains(spelled, StringComparison.Ordinal))
            {
                return type;
            }
        }

        return null;
    }

    private void ReadExpress(ReadOnlySpan<char> line)
    {
        HostPcie pcie = text.Pcie!;
        if (LspciScan.After(line, "LnkCap:", out ReadOnlySpan<char> rest))
        {
            text.Pcie = pcie with { MaximumLink = Link(rest) };
        }
        else if (LspciScan.After(line, "LnkSta:", out rest))
        {
            PcieLink link = Link(rest);
            text.Pcie = pcie with { CurrentLink = link.Width == 0 ? null : link };
        }
        else if (LspciScan.After(line, "SltCap:", out rest))
        {
            text.Pcie = pcie with { Slot = pcie.Slot ?? 0, HotPlug = LspciScan.Flag(rest, "HotPlug") == true };
        }
        else if (LspciScan.After(line, "Slot #", out _) && LspciScan.Number(line, "Slot #") is { } slot)
        {
            text.Pcie = pcie with { Slot = slot };
        }
        else
        {
            ReadAriForwarding(line, pcie);
        }
    }

    // Both registers of the second set print the flag, on their own line or the one after it.
    private void ReadAriForwarding(ReadOnlySpan<char> line, HostPcie pcie)
    {
        _inDeviceControl2 = LspciScan.After(line, "DevCtl2:", out _) || (_inDeviceControl2 && !LspciScan.After(line, "LnkC", out _));
        if (LspciScan.Flag(line, "ARIFwd") is { } forwards)
        {
            text.OffersAriForwarding |= !_inDeviceControl2 && forwards;
            text.Pcie = _inDeviceControl2 && text.OffersAriForwarding ? pcie with { AriForwarding = forwards } : pcie;
        }
    }

    private static PcieLink Link(ReadOnlySpan<char> line)
    {
        // "Speed 2.5GT/s" is code 1, and each further generation one more (PCI Express 5.0, section 7.5.3.6).
        int speed = line.IndexOf("Speed ", StringComparison.Ordinal);
        ReadOnlySpan<char> rate = speed < 0 ? [] : line[(speed + 6)..];
        int end = rate.IndexOf("GT/s", StringComparison.Ordinal);
        byte code = (end < 0 ? "" : rate[..end].ToString()) switch { "2.5" => 1, "5" => 2, "8" => 3, "16" => 4, "32" => 5, "64" => 6, _ => 0 };
        return new PcieLink(code, (byte)Math.Min(LspciScan.Number(line, "Width x") ?? 0, 63));
    }

    private static AcsControls Controls(ReadOnlySpan<char> line)
    {
        int bits = 0;
        for (int i = 0; i < AcsNames.Length; i++)
        {
            bits |= LspciScan.Flag(line, AcsNames[i]) == true ? 1 << i : 0;
        }

        return (AcsControls)bits;
    }

    private void ReadSriov(ReadOnlySpan<char> line)
    {
        const int MostVfs = ushort.MaxValue;
        HostSriov sriov = text.Sriov ?? new HostSriov(0, 0, 0, 0, 0, []);
        if (LspciScan.Number(line, "Total VFs: ") is { } total)
        {
            text.Sriov = sriov with { TotalVfs = Math.Min(total, MostVfs), NumVfs = Math.Min(LspciScan.Number(line, "Number of VFs: ") ?? 0, MostVfs) };
        }
        else if (LspciScan.Number(line, "VF offset: ") is { } offset)
        {
            int at = line.IndexOf("Device ID: ", StringComparison.Ordinal);
            text.Sriov = sriov with
            {
                FirstVfOffset = (ushort)offset,
                VfStride = (ushort)(LspciScan.Number(line, "stride: ") ?? 0),
                VfDeviceId = at >= 0 && line.Length >= at + 15 && LspciScan.Hex(line.Slice(at + 11, 4)) is { } device ? (ushort)device : (ushort)0,
            };
        }
        else if (LspciRegion.TryParse(line, out RawRegion? region) && region is { Index: >= 0, IsRom: false } && sriov.VfBars.Length < 6)
        {
            HostVfBar bar = new(region.Index, region.Kind, region.Address is { } address ? new GuestAddress(address) : null, 0, SizeOrigin.Unknown);
            text.Sriov = sriov with { VfBars = sriov.VfBars.Add(bar) };
        }
    }

    /// <summary>An entry is <c>Entry 0: Enable+</c>, and below it what it stands for, its property, base and largest offset, a line each.</summary>
    private void ReadAllocation(ReadOnlySpan<char> line)
    {
        const int Most = 63;
        List<RawAllocation> entries = text.Allocations;
        if (LspciScan.After(line, "Entry ", out _) && entries.Count < Most)
        {
            entries.Add(new RawAllocation(LspciScan.Flag(line, "Enable") == true, NoEquivalent, byte.MaxValue, 0, 0));
        }

        if (entries.Count == 0)
        {
            return;
        }

        RawAllocation last = entries[^1];
        if (LspciScan.After(line, "BAR Equivalent Indicator: ", out ReadOnlySpan<char> rest))
        {
            entries[^1] = last with { Equivalent = Equivalent(rest) };
        }
        else if (LspciScan.After(line, "PrimaryProperties: ", out rest))
        {
            entries[^1] = last with { Property = Property(rest) };
        }
        else if (LspciScan.After(line, "Base: ", out rest) && LspciScan.Hex(rest) is { } start)
        {
            entries[^1] = last with { Base = start };
        }
        else if (LspciScan.After(line, "MaxOffset: ", out rest) && LspciScan.Hex(rest) is { } offset)
        {
            entries[^1] = last with { MaxOffset = offset };
        }
    }

    // The codes of table 7-124 (PCI Express 5.0, section 7.8.5.3).
    private static int Equivalent(ReadOnlySpan<char> name) => LspciScan.Number(name, "BAR ") is { } index and < 6
        ? index + (name.StartsWith("VF", StringComparison.Ordinal) ? 9 : 0)
        : name.Contains("expansion-ROM", StringComparison.OrdinalIgnoreCase) ? 8 : NoEquivalent;

    private static byte Property(ReadOnlySpan<char> name)
    {
        bool prefetchable = !name.Contains("non-prefetchable", StringComparison.Ordinal);
        return name.StartsWith("memory space", StringComparison.Ordinal) ? (byte)(prefetchable ? 1 : 0)
            : name.StartsWith("VF memory space", StringComparison.Ordinal) ? (byte)(prefetchable ? 3 : 4)
            : name.StartsWith("I/O", StringComparison.Ordinal) ? (byte)2 : byte.MaxValue;
    }

    /// <summary><c>BAR 0: current size: 256MB, supported: 256MB 512MB 1GB</c>.</summary>
    private static void ReadResizable(ReadOnlySpan<char> line, List<HostResizableBar> bars)
    {
        const string Current = "current size: ";
        const string Supported = "supported:";
        int current = line.IndexOf(Current, StringComparison.Ordinal);
        int supported = line.IndexOf(Supported, StringComparison.Ordinal);
        if (LspciScan.Number(line, "BAR ") is not { } index || index > 5 || current < 0 || bars.Count == 6
            || Megabytes(line[(current + Current.Length)..]) is not { } now)
        {
            return;
        }

        ulong offered = 0;
        ReadOnlySpan<char> sizes = supported < 0 ? [] : line[(supported + Supported.Length)..];
        foreach (Range part in sizes.Split(' '))
        {
            offered |= Megabytes(sizes[part]) ?? 0;
        }

        bars.Add(new HostResizableBar(index, offered, now << 20));
    }

    /// <summary>A power of two of megabytes such as <c>512MB</c> or <c>4GB</c>.</summary>
    private static ulong? Megabytes(ReadOnlySpan<char> size)
    {
        int end = size.IndexOf('B');
        if (end < 2 || !uint.TryParse(size[..(end - 1)], NumberStyles.None, CultureInfo.InvariantCulture, out uint number) || !BitOperations.IsPow2(number))
        {
            return null;
        }

        // 2^42 MiB is the most that the register can say (PCI Express 5.0, section 7.8.6.3).
        int shift = "MGTPE".IndexOf(size[end - 1], StringComparison.Ordinal) * 10;
        return shift >= 0 && BitOperations.Log2(number) + shift <= 42 ? (ulong)number << shift : null;
    }
}
