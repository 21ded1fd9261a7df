using Aperture.Assignment;
using Aperture.Memory;
using Aperture.Memory.Faulting;

namespace Aperture.VfioUser.Client;

/// <summary>
/// The areas of a device whose pages are mapped when its guest touches them: puts there what the server grants, and takes out what it revokes. What the server
/// wants to be single accesses a page fault cannot be: it is refused here, and told of. Thread-safe.
/// </summary>
internal sealed class GrantedAreas : IGrantHolder, IFaultAnswerer, IDisposable
{
    private readonly string _name;
    private readonly IEventSink _events;
    private readonly FaultPager? _pager;
    private readonly string _whyNot;
    private readonly Lock _gate = new();

    // Replaced as a whole under the lock.
    private volatile Area[] _areas = [];
    private VfioUserDevice? _device;
    private bool _toldOfTraps;

    /// <summary>Gets ready to handle the faults of a device that messages call <paramref name="name"/>.</summary>
    public GrantedAreas(string name, IEventSink events)
    {
        (_name, _events) = (name, events);
        _pager = FaultPager.TryStart(name, events, out _whyNot);
    }

    /// <summary>False where this process may not handle page faults: every access is a message then.</summary>
    public bool CanMap => _pager is not null;

    /// <summary>The device is there; tells where its guest's accesses cost a message each although the server would grant pages.</summary>
    public void Begin(VfioUserDevice device, IEnumerable<List<VfioArea>> faulting)
    {
        _device = device;
        if (_pager is null && faulting.Any(static areas => areas.Count != 0))
        {
            _events.Notice(
                "vfio-user.trapped", $"every access of the guest to the memory of {_name} is a message to its server: {_whyNot}.",
                json => json.WriteString("device", _name));
        }
    }

    /// <summary>Makes the memory of an area, for a slot. Nothing is there at first.</summary>
    /// <exception cref="ApertureException">The host has no addresses left.</exception>
    public RamBlock Make(int region, VfioArea area, ulong regionSize)
    {
        FaultingMemory memory = _pager!.Make($"{_name} region {region}", area.Size, area.Offset, regionSize, this);
        lock (_gate)
        {
            // Those that are disposed have nothing any more; there are as many as a device has areas, but for what hot-plug brings back.
            _areas = [.. _areas.Where(static each => !each.Memory.IsDisposed), new Area(region, area.Offset, memory)];
        }

        return RamBlock.ForFaulting(memory);
    }

    /// <inheritdoc/>
    public void Revoked(int region, ulong offset, ulong size)
    {
        foreach (Area area in _areas)
        {
            if (area.Region == region && area.Offset + area.Memory.Size > offset)
            {
                // What starts before the area is less in it.
                ulong before = area.Offset > offset ? area.Offset - offset : 0;
                if (size > before)
                {
                    area.Memory.Revoke(offset + before - area.Offset, size - before);
                }
            }
        }
    }

    /// <inheritdoc/>
    public bool Touched(FaultingMemory memory, ulong offset)
    {
        if (_device is not { } device || Array.Find(_areas, each => each.Memory == memory) is not { } area)
        {
            return false;
        }

        bool inPlace = true;
        TouchOutcome outcome = device.Touch(area.Region, area.Offset + offset, isWrite: false, pages => inPlace = Install(area, pages));
        if (outcome == TouchOutcome.Trap)
        {
            TellOfTraps(area, offset);
        }

        return outcome == TouchOutcome.Granted && inPlace;
    }

    /// <summary>The guest deals with the device: what was refused it may be granted by now.</summary>
    public void AskAgain()
    {
        foreach (Area area in _areas)
        {
            area.Memory.AskAgain();
        }
    }

    /// <summary>
    /// A processor got at a page that the kernel does not let it have (<see cref="FaultingMemory.Repair"/>): true when something was done about it, false when
    /// there was nothing to do; null where no memory is, or is left.
    /// </summary>
    public bool? Repair()
    {
        bool? repaired = null;
        foreach (Area area in _areas)
        {
            if (!area.Memory.IsDisposed)
            {
                repaired = area.Memory.Repair() || repaired == true;
            }
        }

        return repaired;
    }

    /// <summary>Makes nothing any more. What was made answers with all-ones from now on, until it is disposed.</summary>
    public void Dispose() => _pager?.Dispose();

    // Pages of an area of which only a part was mapped are put in place as far as they are in it.
    private static bool Install(Area area, GrantedPages pages)
    {
        ulong first = Math.Max(pages.Offset, area.Offset);
        ulong end = Math.Min(pages.Offset + pages.Size, area.Offset + area.Memory.Size);
        return first < end && area.Memory.Grant(
            first - area.Offset, end - first, new GrantSource(pages.Source, pages.File, pages.FileOffset + (first - pages.Offset), pages.IsWritable)) == 0;
    }

    private void TellOfTraps(Area area, ulong offset)
    {
        lock (_gate)
        {
            if (_toldOfTraps)
            {
                return;
            }

            _toldOfTraps = true;
        }

        _events.Notice(
            "vfio-user.trap", $"the server of {_name} wants to carry out single accesses to {area.Memory.Name} at 0x{area.Offset + offset:x}, which a page "
                + "fault cannot be; the guest reads all-ones there.",
            json => json.WriteString("device", _name));
    }

    private sealed record Area(int Region, ulong Offset, FaultingMemory Memory);
}
