using System.Globalization;
using Aperture.Host.Model;
using Aperture.Pci.Registers;

namespace Aperture.Host.Reading;

/// <summary>
/// Reads the lines that <c>-v</c> and <c>-vv</c> put below a function's header (pciutils, lspci.c). Indents are not looked at, because pastes lose them:
/// regions, windows and flags stand before the capabilities, and what stands behind a capability's name is that capability's.
/// </summary>
internal sealed class LspciDetails
{
    private const int MostRegions = 16;
    private readonly RawFunction _raw;
    private LspciCapability? _capability;

    internal LspciDetails(RawFunction raw)
    {
        _raw = raw;
        raw.Text = Text;
    }

    /// <summary>What was found so far.</summary>
    internal RawText Text { get; } = new();

    /// <summary>Reads a line without its indent.</summary>
    internal void Read(ReadOnlySpan<char> line)
    {
        if (LspciScan.After(line, "Capabilities: [", out ReadOnlySpan<char> rest))
        {
            Text.ShowsCapabilities = true;
            _capability = new LspciCapability(Text);
            _capability.Start(rest);
        }
        else if (LspciScan.After(line, "Kernel driver in use:", out rest))
        {
            _raw.Driver = rest.Trim().ToString();
        }
        else if (_capability is not null)
        {
            _capability.Read(line);
        }
        else if (LspciRegion.TryParse(line, out RawRegion? region))
        {
            if (_raw.Regions.Count < MostRegions)
            {
                _raw.Regions.Add(region);
            }
        }
        else if (!ReadFlags(line))
        {
            ReadBridge(line);
        }
    }

    private bool ReadFlags(ReadOnlySpan<char> line)
    {
        if (LspciScan.After(line, "Control: ", out ReadOnlySpan<char> rest))
        {
            Text.IsVerbose = true;
            Text.Command = (rest.Contains("I/O+", StringComparison.Ordinal) ? PciCommand.IoSpace : 0)
                | (rest.Contains("Mem+", StringComparison.Ordinal) ? PciCommand.MemorySpace : 0)
                | (rest.Contains("BusMaster+", StringComparison.Ordinal) ? PciCommand.BusMaster : 0);
        }
        else if (LspciScan.After(line, "Flags: ", out rest))
        {
            // -v: "bus master, fast devsel, latency 0, IRQ 16, NUMA node 0, IOMMU group 1".
            Text.IsVerbose |= rest.Contains("devsel", StringComparison.Ordinal);
            foreach (Range part in rest.Split(','))
            {
                ReadPlace(rest[part].Trim(), ' ');
            }
        }
        else if (LspciScan.After(line, "Subsystem: ", out rest))
        {
            ReadSubsystem(rest);
        }
        else
        {
            // -vv has lines of their own: "NUMA node: 0", "IOMMU group: 1".
            return ReadPlace(line, ':');
        }

        return true;
    }

    private bool ReadPlace(ReadOnlySpan<char> text, char separator)
    {
        if (LspciScan.After(text, "NUMA node", out ReadOnlySpan<char> number) && Number(number, separator) is { } node)
        {
            _raw.NumaNode = node;
            return true;
        }

        if (LspciScan.After(text, "IOMMU group", out number) && Number(number, separator) is { } group)
        {
            _raw.IommuGroup = group;
            return true;
        }

        return false;
    }

    private static int? Number(ReadOnlySpan<char> text, char separator) =>
        text.Length > 1 && text[0] == separator && int.TryParse(text[1..].Trim(), NumberStyles.None, CultureInfo.InvariantCulture, out int number)
            ? number : null;

    /// <summary>With <c>-n</c> two numbers, with <c>-nn</c> two numbers in brackets at the end.</summary>
    private void ReadSubsystem(ReadOnlySpan<char> text)
    {
        text = text.TrimEnd().TrimEnd(']');
        if (text.Length >= 9 && text[^5] == ':' && LspciScan.Hex(text[^9..^5]) is { } vendor && LspciScan.Hex(text[^4..]) is { } device)
        {
            (_raw.SubsystemVendor, _raw.Subsystem) = ((ushort)vendor, (ushort)device);
        }
    }

    private void ReadBridge(ReadOnlySpan<char> line)
    {
        HostPciBridge bridge = Text.Bridge ?? new HostPciBridge(0, 0, 0, null, null, null, false);
        if (LspciScan.After(line, "Bus: primary=", out _))
        {
            Text.Bridge = bridge with { Primary = Bus(line, "primary="), Secondary = Bus(line, "secondary="), Subordinate = Bus(line, "subordinate=") };
        }
        else if (LspciScan.After(line, "I/O behind bridge:", out ReadOnlySpan<char> rest))
        {
            Text.Bridge = bridge with { Io = Window(rest, 1) };
        }
        else if (LspciScan.After(line, "Memory behind bridge:", out rest))
        {
            Text.Bridge = bridge with { Memory = Window(rest, 1) };
        }
        else if (LspciScan.After(line, "Prefetchable memory behind bridge:", out rest))
        {
            // The 64-bit register is printed with 16 digits, and by newer versions with its width.
            bool wide = rest.Contains("[64-bit]", StringComparison.Ordinal) || rest.TrimStart().IndexOf('-') == 16;
            Text.Bridge = bridge with { Prefetchable = Window(rest, 1), PrefetchableIs64Bit = wide };
        }
        else if (LspciScan.After(line, "Memory window ", out rest) || LspciScan.After(line, "I/O window ", out rest))
        {
            Text.IsCardBus = true;
            CardBusWindowKind kind = line[0] == 'I' ? CardBusWindowKind.Io
                : line.Contains("(prefetchable)", StringComparison.Ordinal) ? CardBusWindowKind.Prefetchable : CardBusWindowKind.Memory;
            if (rest.Length > 2 && rest[1] == ':' && Window(rest[2..], kind == CardBusWindowKind.Io ? 4UL : 0x1000) is { } window)
            {
                Text.Bridge = bridge with { CardBusWindows = bridge.CardBusWindows.Add(new CardBusWindow(kind, window)) };
            }
        }
    }

    private static byte Bus(ReadOnlySpan<char> line, string label)
    {
        int at = line.IndexOf(label, StringComparison.Ordinal);
        return at >= 0 && line.Length >= at + label.Length + 2 && LspciScan.Hex(line.Slice(at + label.Length, 2)) is { } bus ? (byte)bus : (byte)0;
    }

    /// <summary>
    /// An open window: <c>0000e000-0000efff</c>; its last address may be that of the last granule. One that begins at 0 was never programmed.
    /// </summary>
    private static AddressRange? Window(ReadOnlySpan<char> text, ulong granule)
    {
        text = text.Trim();
        int blank = text.IndexOf(' ');
        text = blank < 0 ? text : text[..blank];
        int dash = text.IndexOf('-');
        return dash > 0 && LspciScan.Hex(text[..dash]) is { } first && LspciScan.Hex(text[(dash + 1)..]) is { } last && first != 0
            && (last | (granule - 1)) >= first
            ? AddressRange.FromBounds(new GuestAddress(first), new GuestAddress(last | (granule - 1)))
            : null;
    }
}
