using Aperture.Assignment;
using Aperture.Board;
using Aperture.Configuration.Kinds;
using Aperture.Host;
using Aperture.Hypervisor;
using Aperture.Machine.Functions;
using Aperture.Machine.Topology;
using Aperture.Memory;
using Aperture.Pci;
using Aperture.Vfio;

namespace Aperture.Machine.Assigned;

/// <summary>
/// A machine's way to the host's devices while it runs: VFIO, what makes functions of its devices, and what their DMA reaches. VFIO is opened with the first
/// device, which may come while the guest runs.
/// </summary>
internal sealed class HostDevices : IFunctionMaker, IDisposable
{
    private readonly VfioPath _path;
    private readonly IDeviceFiles? _files;
    private readonly PassedDescriptors _passed;
    private readonly IEventSink _events;
    private readonly AssignedFunctionMaker _maker;
    private readonly FirstResets _resets;
    private AddressSpace? _memory;
    private int _opened;

    // Set once, together; read by whoever reports, and by vCPUs.
    private volatile VfioHost? _host;
    private volatile IommuListener? _iommu;

    /// <summary>Opens VFIO for <paramref name="parts"/>, if there are any; the devices themselves are opened when the board makes their functions.</summary>
    /// <exception cref="ApertureException">The kernel has no VFIO, or does not let this user have it.</exception>
    public HostDevices(
        VfioPath path, IReadOnlyList<AssignedPart> parts, PassedDescriptors passed, IVm vm, IAssignedEvents notices, IEventSink events)
    {
        _passed = passed;
        _path = path;
        _files = vm.DeviceFiles;
        _events = events;
        _resets = new FirstResets(events);
        _maker = new AssignedFunctionMaker(Open, vm.EventInterrupts ?? RelayedInterrupts.Instance, notices, events);
        if (parts.Count > 0)
        {
            Start(parts);
        }
    }

    /// <summary>What the devices' DMA reaches; null while there was no device.</summary>
    public IommuListener? Iommu => _iommu;

    /// <inheritdoc/>
    public MadeFunction? Make(TopologyNode node, FunctionSite site) => _maker.Make(node, site);

    /// <summary>
    /// Resets what was opened for <paramref name="functions"/>, which come together while the guest runs: those that share a bus are all open now. Before any
    /// of them is on the guest's bus.
    /// </summary>
    public void ResetNew(IReadOnlyList<PciFunction> functions) => _resets.Run([.. functions.Select(function => function.Name)]);

    /// <summary>Lets the devices reach what <paramref name="memory"/> shows, from now on; those that come later too.</summary>
    /// <exception cref="ApertureException">The kernel did not map RAM.</exception>
    public void Follow(AddressSpace memory)
    {
        // The devices that the machine starts with: all are open, and none does anything yet.
        _memory = memory;
        _resets.Run();
        if (_iommu is { } listener)
        {
            memory.AddListener(listener);
            memory.AddListener(new PeerEvents(listener, _events, HasPeers));
        }
    }

    /// <summary>Puts all-ones where drivers of devices provide no memory, and tells where. Any thread.</summary>
    public IReadOnlyList<MissingMemory> ReplaceMissing() => _host?.ReplaceMissing() ?? [];

    /// <inheritdoc/>
    public void Dispose() => _host?.Dispose();

    // A device that was taken out again still counts: what is mapped for nobody does no harm.
    private bool HasPeers() => Volatile.Read(ref _opened) > 1;

    private IVfioDevice Open(AssignedPart part)
    {
        VfioHost host = _host ?? Start([part]);
        if (BarResizer.HasWork(part))
        {
            Resize(part, host);
        }

        IVfioDevice device = host.Open(AddressOf(part), part.Spec is VfioSpec { Device.Descriptor: { } number } ? _passed.Take(number) : null);
        Interlocked.Increment(ref _opened);
        _resets.Add(part.Name, part.Host?.Address, device);
        return device;
    }

    // Opened first, which another machine's device refuses: from then on nobody but a race takes it, and resizing needs it closed.
    private static void Resize(AssignedPart part, VfioHost host)
    {
        host.Open(AddressOf(part)).Dispose();
        if (new BarResizer().Apply(part) && part.Host is { } function && HostReader.ReadLive().Find(function.Address) is { } now)
        {
            BarResizer.CheckPins(part, now);
        }
    }

    private VfioHost Start(IReadOnlyList<AssignedPart> parts)
    {
        VfioHost host = VfioHost.Open(_path, [.. parts.Select(AddressOf)], _files is null ? null : _files.Add, _files is null ? null : _files.Remove);
        _host = host;
        _iommu = new IommuListener(host.Iommu, HasPeers);
        _events.Write("vfio.path", json =>
        {
            json.WriteString("path", host.Path == VfioPath.Iommufd ? "iommufd" : "container");
            json.WriteString("why", host.Why);
        });
        if (_memory is { } memory)
        {
            // The guest runs already: its RAM is mapped before the device is there.
            try
            {
                Follow(memory);
            }
            catch
            {
                // Another attempt may find more room for locked memory.
                (_host, _iommu) = (null, null);
                host.Dispose();
                throw;
            }
        }

        return host;
    }

    private static VfioDeviceAddress AddressOf(AssignedPart part)
    {
        if (part.Spec is VfioSpec { Device.Descriptor: { } descriptor })
        {
            return VfioDeviceAddress.Passed(descriptor);
        }

        if (part.Host is not { } function)
        {
            return VfioDeviceAddress.Sysfs(part.Mediated!.Folder);
        }

        // Domains behind a device, such as Intel's VMD, have numbers past 16 bits.
        PciAddress address = function.Address;
        return address.Domain <= ushort.MaxValue
            ? VfioDeviceAddress.Pci((ushort)address.Domain, address.Bdf)
            : VfioDeviceAddress.Sysfs($"/sys/bus/pci/devices/{address}");
    }
}
