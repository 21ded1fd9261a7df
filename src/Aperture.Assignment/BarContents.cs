using Aperture.Memory;
using Aperture.Pci;
using Aperture.Pci.Capabilities;

namespace Aperture.Assignment;

/// <summary>
/// Cuts a BAR of a device into the pieces that answer in it: mapped where the kernel allows, the MSI-X structures on our emulation, quirks, and everything
/// else trapped. The blocks it maps are its own.
/// </summary>
internal sealed class BarContents(
    AssignedFunction function, IVfioDevice device, AssignedOptions options, Func<int, ulong, IAccessHandler> trap, List<string> notes) : IDisposable
{
    private readonly Dictionary<int, IReadOnlyList<BarPart>> _known = [];
    private readonly List<RamBlock> _blocks = [];

    /// <summary>Quirks in force.</summary>
    public List<IBarQuirk> Quirks { get; } = [];

    /// <summary>The pieces of a BAR, made when first asked for.</summary>
    public IReadOnlyList<BarPart> PartsOf(Bar bar)
    {
        if (!_known.TryGetValue(bar.Index, out IReadOnlyList<BarPart>? parts))
        {
            parts = Cut(bar);
            _known.Add(bar.Index, parts);
        }

        return parts;
    }

    /// <summary>Gives up the mapped blocks; what is placed in an address space lives until that is gone.</summary>
    public void Dispose()
    {
        foreach (RamBlock block in _blocks)
        {
            block.Dispose();
        }

        _blocks.Clear();
    }

    private List<BarPart> Cut(Bar bar)
    {
        VfioRegion region = device.Regions.First(r => r.Index == bar.Index);
        List<Overlay> overlays = [.. MsixOverlays(bar, region), .. QuirkOverlays(bar)];
        List<(VfioArea Area, RamBlock Block)> mapped = Map(bar, region);
        SortedSet<ulong> edges = [0, bar.Size];
        foreach ((VfioArea area, _) in mapped)
        {
            edges.UnionWith([area.Offset, area.Offset + area.Size]);
        }

        foreach (Overlay overlay in overlays)
        {
            edges.UnionWith([overlay.Offset, overlay.Offset + overlay.Size, overlay.Keep.Start, overlay.Keep.End]);
        }

        List<BarPart> parts = [];
        ulong start = 0;
        foreach (ulong end in edges.Where(e => e > 0 && e <= bar.Size))
        {
            parts.Add(new BarPart(start, Piece(bar, start, end - start, overlays, mapped)));
            start = end;
        }

        return parts;
    }

    // No piece crosses an edge, so its first byte decides for all of it.
    private Region Piece(Bar bar, ulong start, ulong size, List<Overlay> overlays, List<(VfioArea Area, RamBlock Block)> mapped)
    {
        string name = start == 0 && size == bar.Size ? $"{function.Name} {bar.Name}" : $"{function.Name} {bar.Name}+0x{start:x}";
        foreach (Overlay overlay in overlays)
        {
            if (start >= overlay.Offset && start - overlay.Offset < overlay.Size)
            {
                IAccessHandler handler = start == overlay.Offset ? overlay.Handler : new ShiftedAccess(overlay.Handler, start - overlay.Offset);
                return Region.Trapped($"{function.Name} {bar.Name} {overlay.Name}", size, handler);
            }
        }

        IAccessHandler device = trap(bar.Index, start);
        bool kept = overlays.Exists(o => start >= o.Keep.Start && start < o.Keep.End);
        foreach ((VfioArea area, RamBlock block) in mapped)
        {
            if (!kept && start >= area.Offset && start - area.Offset < area.Size)
            {
                return Region.ForDevice(name, block, start - area.Offset, size, device);
            }
        }

        return Region.Trapped(name, size, device);
    }

    private List<(VfioArea Area, RamBlock Block)> Map(Bar bar, VfioRegion region)
    {
        ulong page = (ulong)Environment.SystemPageSize;
        List<(VfioArea, RamBlock)> mapped = [];
        if (options.TrapAll || bar.Kind == BarKind.Io || region.Areas.Count == 0)
        {
            return mapped;
        }

        if (bar.Size < page)
        {
            notes.Add($"{bar.Name} is trapped: it is smaller than a page, and other devices may share the page");
            return mapped;
        }

        foreach (VfioArea area in region.Areas)
        {
            if (area.Size == 0 || area.Offset >= bar.Size || area.Size > bar.Size - area.Offset || ((area.Offset | area.Size) & (page - 1)) != 0)
            {
                notes.Add($"{bar.Name} is trapped at 0x{area.Offset:x}: the area is not whole pages inside the BAR");
                continue;
            }

            try
            {
                RamBlock block = device.Map(bar.Index, area);
                _blocks.Add(block);
                mapped.Add((area, block));
            }
            catch (ApertureException e)
            {
                notes.Add($"{bar.Name} is trapped at 0x{area.Offset:x}: {e.Message}");
            }
        }

        return mapped;
    }

    private IEnumerable<Overlay> MsixOverlays(Bar bar, VfioRegion region)
    {
        if (function.Find<MsixCapability>() is not { } msix)
        {
            yield break;
        }

        if (msix.TableBar == bar.Index)
        {
            yield return Make("msix-table", msix.TableOffset, (ulong)msix.TableSize, msix.Table);
        }

        if (msix.PendingBar == bar.Index)
        {
            yield return Make("msix-pba", msix.PendingOffset, (ulong)msix.PendingSize, msix.PendingBits);
        }

        // Where the kernel does not let the table's pages be mapped, none of their bytes are.
        Overlay Make(string name, ulong offset, ulong size, IAccessHandler handler)
        {
            ulong page = (ulong)Environment.SystemPageSize;
            ulong first = offset & ~(page - 1);
            ulong end = Math.Min((offset + size + page - 1) & ~(page - 1), Math.Max(bar.Size, offset + size));
            return new Overlay(name, offset, size, handler, region.MsixMappable ? (offset, offset + size) : (first, end));
        }
    }

    private IEnumerable<Overlay> QuirkOverlays(Bar bar)
    {
        foreach (IBarQuirk quirk in Quirks)
        {
            if (quirk.Bar == bar.Index && quirk.Offset < bar.Size && quirk.Size <= bar.Size - quirk.Offset)
            {
                IAccessHandler handler = quirk.Overlay(function, trap(bar.Index, quirk.Offset));
                yield return new Overlay("quirk", quirk.Offset, quirk.Size, handler, (quirk.Offset, quirk.Offset + quirk.Size));
            }
        }
    }

    /// <summary>A place that answers by itself, and the bytes around it that must not be mapped either.</summary>
    private sealed record Overlay(string Name, ulong Offset, ulong Size, IAccessHandler Handler, (ulong Start, ulong End) Keep);

    private sealed class ShiftedAccess(IAccessHandler handler, ulong shift) : IAccessHandler
    {
        public AccessResult Read(ulong offset, int size, out ulong value) => handler.Read(offset + shift, size, out value);

        public AccessResult Write(ulong offset, int size, ulong value) => handler.Write(offset + shift, size, value);
    }
}
