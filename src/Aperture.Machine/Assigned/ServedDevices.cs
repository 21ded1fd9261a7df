using Aperture.Assignment;
using Aperture.Board;
using Aperture.Configuration.Kinds;
using Aperture.Hypervisor;
using Aperture.Linux;
using Aperture.Machine.Functions;
using Aperture.Machine.Topology;
using Aperture.Machine.Verification;
using Aperture.Memory;
using Aperture.VfioUser.Client;

namespace Aperture.Machine.Assigned;

/// <summary>
/// A machine's way to devices that other processes serve. Each server is told by itself what of the guest's memory it reaches, which is RAM and read-only
/// memory: other devices' memory is not passed on.
/// </summary>
/// <param name="ram">Guest RAM; servers map it when it is shared.</param>
/// <param name="interrupts">The guest's interrupt controllers.</param>
/// <param name="notices">Told what happens to the devices.</param>
/// <param name="events">What is opened is reported here.</param>
internal sealed class ServedDevices(RamBlock ram, IGuestInterrupts interrupts, IAssignedEvents notices, IEventSink events) : IFunctionMaker
{
    private readonly Lock _gate = new();
    private readonly SharedBlocks _shared = new(ram);

    // Replaced as a whole under the gate; read by whoever reports.
    private volatile Link[] _links = [];
    private AddressSpace? _memory;

    /// <summary>True while there is a device.</summary>
    public bool Any => _links.Length > 0;

    /// <summary>What each server that lives reaches. Any thread.</summary>
    public IReadOnlyList<ServerMappings> Mappings =>
        [.. _links.Where(link => !link.Device.IsDead).Select(link => new ServerMappings(link.Name, AssignedMappings.Of(link.Listener)))];

    /// <summary>
    /// A vCPU got at memory that servers grant page by page, and the kernel did not let it: true when something was done about that, false when there was
    /// nothing to do; null where there is no such memory. Any thread.
    /// </summary>
    public bool? Repair()
    {
        bool? repaired = null;
        foreach (Link link in _links)
        {
            repaired = link.Device.Repair() is { } done ? done || repaired == true : repaired;
        }

        return repaired;
    }

    /// <inheritdoc/>
    public MadeFunction? Make(TopologyNode node, FunctionSite site)
    {
        if (node.Assigned is not { Served: { } spec } part)
        {
            return null;
        }

        VfioUserDevice device = Connect(part, spec, site);
        MadeFunction made = new AssignedFunctionMaker(_ => device, interrupts, notices, events).Make(node, site)!;
        Link link = new(
            this, part.Name, device, new IommuListener(device.Iommu, static () => false, "a server gets no memory of other devices"));
        IReadOnlyList<IDisposable> owned = [.. made.Owned, link];
        try
        {
            Add(link);
        }
        catch
        {
            foreach (IDisposable each in owned)
            {
                each.Dispose();
            }

            throw;
        }

        return made with { Owned = owned };
    }

    /// <summary>Lets the servers reach what <paramref name="memory"/> shows, from now on; of devices that come later too.</summary>
    /// <exception cref="ApertureException">A server did not take RAM.</exception>
    public void Follow(AddressSpace memory)
    {
        lock (_gate)
        {
            _memory = memory;
            foreach (Link link in _links)
            {
                memory.AddListener(link);
            }
        }
    }

    /// <summary>Puts all-ones where servers have taken memory of their devices away, and tells where. Any thread.</summary>
    public IReadOnlyList<MissingMemory> ReplaceMissing() => [.. _links.SelectMany(link => link.Device.ReplaceMissing())];

    /// <summary>The machine ends: no server that is gone is looked for any more.</summary>
    public void End()
    {
        foreach (Link link in _links)
        {
            link.Device.EndSearch();
        }
    }

    private VfioUserDevice Connect(AssignedPart part, VfioUserSpec spec, FunctionSite site)
    {
        // By messages a server reaches memory and nothing that answers accesses.
        DmaPort memory = new(site.Memory, site.MemoryDispatcher, static region => region.Ram is null);
        VfioUserDevice device = VfioUserDevice.Connect(spec.Socket, events, memory, _shared, new ClientOptions { Reconnects = true, MapGrants = true });
        if (device.Reset() is not 0 and int errno)
        {
            events.Notice(
                "vfio-user.no-reset",
                $"{part.Name} was not reset by its server ({Errno.Name(errno)}): the guest finds it as its last user left it.",
                json => json.WriteString("function", part.Name));
        }

        if (ram.File is null)
        {
            events.Notice(
                "vfio-user.unshared",
                $"{part.Name} reaches the guest's memory by messages, which is slow, because RAM is not shared; start the machine with --memory "
                    + $"size={ByteSize.Format(ram.Size)},shared=on.",
                json => json.WriteString("function", part.Name));
        }

        return device;
    }

    // While the guest runs, RAM is with the server before the device is there.
    private void Add(Link link)
    {
        lock (_gate)
        {
            _memory?.AddListener(link);
            _links = [.. _links, link];
        }
    }

    private void Remove(Link link)
    {
        lock (_gate)
        {
            _memory?.RemoveListener(link);
            _links = [.. _links.Where(each => each != link)];
        }
    }

    /// <summary>
    /// A server that follows the guest's memory, until the function is given back. One that does not take what the guest has loses the device, not the guest.
    /// </summary>
    private sealed class Link(ServedDevices owner, string name, VfioUserDevice device, IommuListener listener) : IFlatViewListener, IDisposable
    {
        // With the space's lock: it took all of the first view.
        private bool _follows;

        public string Name => name;

        public VfioUserDevice Device => device;

        public IommuListener Listener => listener;

        public void Commit(FlatView old, FlatView next, FlatViewDiff diff)
        {
            try
            {
                listener.Commit(old, next, diff);
                _follows = true;
            }
            catch (ApertureException refused) when (_follows)
            {
                // What a dead server would have is what it is given when it is back.
                device.GiveUp($"does not follow the guest's memory: {refused.Message}", () => listener.Commit(old, next, diff));
            }
        }

        public void Dispose() => owner.Remove(this);
    }
}
