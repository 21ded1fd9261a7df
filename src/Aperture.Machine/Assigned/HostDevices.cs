using Aperture.Host;
using Aperture.Kvm;
using Aperture.Machine.Board;
using Aperture.Machine.Events;
using Aperture.Machine.Topology;
using Aperture.Machine.Verification;
using Aperture.Memory;
using Aperture.Vfio;

namespace Aperture.Machine.Assigned;

/// <summary>
/// A machine's way to the host's devices while it runs. VFIO is opened with the first device, at start or when one is plugged in later: a machine without such
/// devices does not touch it, and its RAM is not locked.
/// </summary>
/// <param name="path">Which way.</param>
/// <param name="parts">The devices that the machine starts with.</param>
/// <param name="vm">The virtual machine.</param>
/// <param name="events">The machine's events.</param>
internal sealed class HostDevices(VfioPath path, IReadOnlyList<AssignedPart> parts, KvmVm vm, EventLog events) : IFunctionMaker, IIommuMappings, IDisposable
{
    private readonly KvmInterrupts _interrupts = new(vm);

    // One device is made at a time: by the board's constructor, then under the hot plug's gate. Others only look.
    private volatile IommuListener? _iommu;
    private VfioHost? _host;
    private int _opened;

    /// <summary>True once a device was opened.</summary>
    public bool AreOpen => _host is not null;

    /// <summary>What happens to the devices.</summary>
    public AssignedNotices Notices { get; } = new(events);

    /// <inheritdoc/>
    public MadeFunction? Make(TopologyNode node, FunctionSite site) =>
        new AssignedFunctionMaker(part => Open(part, site.Memory), _interrupts, Notices, events).Make(node, site);

    /// <inheritdoc/>
    public IReadOnlyList<IommuMapping>? Snapshot() => _iommu is { } iommu ? [.. iommu.Results.Concat(iommu.Stale).Select(r => new IommuMapping(r.Range, r.Region.Name, r.IsMapped, r.Reason, r.IsPeerToPeer))] : null;

    /// <inheritdoc/>
    public void Dispose() => _host?.Dispose();

    private VfioDevice Open(AssignedPart part, AddressSpace memory)
    {
        if (new BarResizer().Apply(part) && HostReader.ReadLive().Find(part.Host.Address) is { } now)
        {
            BarResizer.CheckPins(part, now);
        }

        VfioHost host = _host ??= OpenHost(parts.Contains(part) ? parts : [part]);
        if (_iommu is null)
        {
            // Before the first device: the kernel then refuses that device, with its reason, when RAM cannot be mapped for it.
            IommuListener iommu = new(host.Iommu);
            try
            {
                memory.AddListener(iommu);
            }
            catch
            {
                // Another device may be tried later, when there is more room for locked memory.
                _host = null;
                host.Dispose();
                throw;
            }

            memory.AddListener(new PeerEvents(iommu, events, () => _opened > 1));
            _iommu = iommu;
        }

        VfioDevice device = host.Open(AddressOf(part));
        _opened++;
        return device;
    }

    private VfioHost OpenHost(IReadOnlyList<AssignedPart> first)
    {
        VfioHost host = VfioHost.Open(path, [.. first.Select(AddressOf)], vm.AddVfioFile, vm.RemoveVfioFile);
        events.Write("vfio.path", json =>
        {
            json.WriteString("path", host.Path == VfioPath.Iommufd ? "iommufd" : "container");
            json.WriteString("why", host.Why);
        });
        return host;
    }

    private static VfioDeviceAddress AddressOf(AssignedPart part)
    {
        if (part.Spec.Device.Descriptor is { } descriptor)
        {
            return VfioDeviceAddress.Passed(descriptor);
        }

        // Domains behind a device, such as Intel's VMD, have numbers past 16 bits.
        PciAddress address = part.Host.Address;
        return address.Domain <= ushort.MaxValue
            ? VfioDeviceAddress.Pci((ushort)address.Domain, address.Bdf)
            : VfioDeviceAddress.Sysfs($"/sys/bus/pci/devices/{address}");
    }
}
