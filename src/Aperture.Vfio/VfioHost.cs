using Aperture.Assignment;
using Aperture.Linux;

namespace Aperture.Vfio;

/// <summary>
/// One machine's way to the host's devices: the I/O address space that all of them share, and the devices. Open it before the memory's IOMMU listener is made,
/// and the devices before or after; dispose the devices first. Thread-safe but for disposal.
/// </summary>
public sealed class VfioHost : IDisposable
{
    private readonly IVfioCalls _calls;
    private readonly HostPlaces _places;
    private readonly DeviceMappings _mappings;
    private readonly VfioContainer? _container;
    private readonly IommufdSpace? _space;
    private readonly BusResets _resets;
    private readonly Lock _gate = new();
    private readonly List<VfioDevice> _open = [];

    private VfioHost(
        VfioPath path, string why, IVfioCalls calls, HostPlaces places, Action<SafeFileDescriptor>? announce, Action<SafeFileDescriptor>? withdraw)
    {
        Path = path;
        Why = why;
        _calls = calls;
        _places = places;
        _mappings = new DeviceMappings();
        if (path == VfioPath.Iommufd)
        {
            _space = IommufdSpace.Open(calls, places, _mappings, announce, withdraw);
        }
        else
        {
            _container = VfioContainer.Open(calls, places, announce, withdraw);
        }

        _resets = new BusResets(calls, _container, Snapshot);
    }

    /// <summary>The path in use; never <see cref="VfioPath.Auto"/>.</summary>
    public VfioPath Path { get; }

    /// <summary>Why it is that one, in a few words.</summary>
    public string Why { get; }

    /// <summary>What the devices' DMA reaches. It holds for devices opened later too, and stays while devices come and go. Owned by the host.</summary>
    public IIommuMap Iommu => (IIommuMap?)_space ?? _container!;

    /// <summary>
    /// Opens the way to the host's devices.
    /// </summary>
    /// <param name="path">Which way; <see cref="VfioPath.Auto"/> decides by the kernel and <paramref name="devices"/>.</param>
    /// <param name="devices">The devices that the machine starts with. They are not opened yet.</param>
    /// <param name="announce">Told of each group or device file before its device is opened: the hypervisor has to know them (KVM_DEV_VFIO_FILE_ADD). May
    /// throw.</param>
    /// <param name="withdraw">Told when such a file is about to be closed. Must not throw.</param>
    /// <exception cref="ApertureException">The kernel has no VFIO or no iommufd, or this user may not use it.</exception>
    public static VfioHost Open(
        VfioPath path,
        IReadOnlyList<VfioDeviceAddress> devices,
        Action<SafeFileDescriptor>? announce = null,
        Action<SafeFileDescriptor>? withdraw = null) =>
        Open(path, devices, announce, withdraw, new LinuxVfioCalls(), HostPlaces.Real);

    internal static VfioHost Open(
        VfioPath path,
        IReadOnlyList<VfioDeviceAddress> devices,
        Action<SafeFileDescriptor>? announce,
        Action<SafeFileDescriptor>? withdraw,
        IVfioCalls calls,
        HostPlaces places)
    {
        ArgumentNullException.ThrowIfNull(devices);
        string why = "it was asked for";
        if (path == VfioPath.Auto)
        {
            (path, why) = Choose(devices, places);
        }

        return new VfioHost(path, why, calls, places, announce, withdraw);
    }

    /// <summary>Opens a device: it is this process's alone until it is disposed.</summary>
    /// <param name="address">Which.</param>
    /// <param name="passed">
    /// Its character device when it is found by that (<see cref="VfioDeviceAddress.Descriptor"/>); taken over, whatever comes of it.
    /// </param>
    /// <exception cref="ApertureException">It is missing, not bound to vfio-pci, without IOMMU, not viable, in use, not permitted, or the guest's memory cannot
    /// be mapped for it.</exception>
    public VfioDevice Open(VfioDeviceAddress address, SafeFileDescriptor? passed = null)
    {
        ArgumentNullException.ThrowIfNull(address);
        IDisposable? release = null;
        try
        {
            HostDevice device = HostDevice.Find(address, _places);
            device.Require();
            SafeFileDescriptor file = _container is null
                ? _space!.OpenDevice(device, passed ?? (address.Descriptor is { } number ? new SafeFileDescriptor(number) : null), out release)
                : OpenInGroup(address, device, out release);
            VfioDevice opened = new(device.Name, _calls, file, _mappings, new Opened(this, release), _resets);
            lock (_gate)
            {
                _open.Add(opened);
            }

            return opened;
        }
        catch
        {
            release?.Dispose();
            passed?.Dispose();
            throw;
        }
    }

    /// <summary>
    /// Puts all-ones where the drivers of mapped devices provide no memory: a vCPU that touches such a page cannot go on (KVM_RUN answers EFAULT), and this
    /// process would be ended by SIGBUS. What was put there is the guest's alone; it keeps what the guest writes. Registers of PCI functions are not touched by
    /// looking, and not replaced. Any thread.
    /// </summary>
    public IReadOnlyList<MissingMemory> ReplaceMissing() => _mappings.ReplaceMissing();

    /// <summary>Closes the way; devices that are still open lose their IOMMU.</summary>
    public void Dispose()
    {
        foreach (VfioDevice device in Snapshot())
        {
            device.Dispose();
        }

        Iommu.Dispose();
    }

    private static (VfioPath Path, string Why) Choose(IReadOnlyList<VfioDeviceAddress> devices, HostPlaces places)
    {
        if (!File.Exists(System.IO.Path.Combine(places.Dev, "iommu")))
        {
            return (VfioPath.Container, "the kernel has no iommufd");
        }

        if (devices.Count == 0)
        {
            return Directory.Exists(System.IO.Path.Combine(places.Dev, "vfio/devices"))
                ? (VfioPath.Iommufd, "the kernel has it")
                : (VfioPath.Container, "no device has a character device");
        }

        foreach (VfioDeviceAddress address in devices)
        {
            HostDevice device = HostDevice.Find(address, places);
            if (address.Descriptor is null && device.Cdev is null)
            {
                return (VfioPath.Container, $"{device.Name} has no character device");
            }
        }

        return (VfioPath.Iommufd, "the kernel and all devices have it");
    }

    private SafeFileDescriptor OpenInGroup(VfioDeviceAddress address, HostDevice device, out IDisposable release) => address.Descriptor is null
        ? _container!.OpenDevice(device, out release)
        : throw VfioFailure.Make(
            $"{address} is the character device of {device.Name}, which the container path cannot use; give --vfio iommufd, or the device's address");

    private VfioDevice[] Snapshot()
    {
        lock (_gate)
        {
            return [.. _open];
        }
    }

    private void Forget(IDisposable release)
    {
        lock (_gate)
        {
            _open.RemoveAll(device => device.IsReleasedBy(release));
        }
    }

    private sealed class Opened(VfioHost host, IDisposable release) : IDisposable
    {
        public void Dispose()
        {
            host.Forget(this);
            release.Dispose();
        }
    }
}
