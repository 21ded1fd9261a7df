using Aperture.Host;
using Aperture.Kvm;
using Aperture.Machine.Board;
using Aperture.Machine.Events;
using Aperture.Memory;
using Aperture.Vfio;

namespace Aperture.Machine.Assigned;

/// <summary>A machine's way to the host's devices while it runs: the opened VFIO, what makes functions of its devices, and what their DMA reaches.</summary>
internal sealed class HostDevices : IDisposable
{
    private readonly VfioHost _host;
    private readonly EventLog _events;
    private readonly bool _peers;

    /// <summary>Opens VFIO for <paramref name="parts"/>; the devices themselves are opened when the board makes their functions.</summary>
    /// <exception cref="ApertureException">The kernel has no VFIO, or does not let this user have it.</exception>
    public HostDevices(VfioPath path, IReadOnlyList<AssignedPart> parts, KvmVm vm, EventLog events)
    {
        _events = events;
        _peers = parts.Count > 1;
        _host = VfioHost.Open(path, [.. parts.Select(AddressOf)], vm.AddVfioFile, vm.RemoveVfioFile);
        Notices = new AssignedNotices(events);
        Maker = new AssignedFunctionMaker(part => _host.Open(AddressOf(part)), new KvmInterrupts(vm), Notices, events);
        Iommu = new IommuListener(_host.Iommu);
        events.Write("vfio.path", json =>
        {
            json.WriteString("path", _host.Path == VfioPath.Iommufd ? "iommufd" : "container");
            json.WriteString("why", _host.Why);
        });
    }

    /// <summary>Makes the functions.</summary>
    public IFunctionMaker Maker { get; }

    /// <summary>What happens to the devices.</summary>
    public AssignedNotices Notices { get; }

    /// <summary>What the devices' DMA reaches.</summary>
    public IommuListener Iommu { get; }

    /// <summary>The addresses that the devices can be given, as the kernel says.</summary>
    public IReadOnlyList<AddressRange> Ranges => _host.Iommu.Ranges;

    /// <summary>Lets the devices reach what <paramref name="memory"/> shows, from now on.</summary>
    /// <exception cref="ApertureException">The kernel did not map RAM.</exception>
    public void Follow(AddressSpace memory)
    {
        memory.AddListener(Iommu);
        if (_peers)
        {
            memory.AddListener(new PeerEvents(Iommu, _events));
        }
    }

    /// <inheritdoc/>
    public void Dispose() => _host.Dispose();

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
