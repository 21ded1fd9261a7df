using Aperture.Assignment;
using Aperture.Linux;
using Aperture.Linux.Vfio;

namespace Aperture.Vfio;

/// <summary>An I/O address space of iommufd (/dev/iommu) and the devices attached to it by their character devices. Thread-safe.</summary>
internal sealed class IommufdSpace : IIommuMap
{
    private const ulong SmallestPage = 4096;

    private readonly IVfioCalls _calls;
    private readonly HostPlaces _places;
    private readonly SafeFileDescriptor _file;
    private readonly uint _space;
    private readonly DeviceMappings _mappings;
    private readonly Action<SafeFileDescriptor>? _announce;
    private readonly Action<SafeFileDescriptor>? _withdraw;
    private readonly Lock _gate = new();
    private volatile IReadOnlyList<AddressRange> _ranges = [];

    private IommufdSpace(IVfioCalls calls, HostPlaces places, SafeFileDescriptor file, uint space, DeviceMappings mappings,
        Action<SafeFileDescriptor>? announce, Action<SafeFileDescriptor>? withdraw)
    {
        _calls = calls;
        _places = places;
        _file = file;
        _space = space;
        _mappings = mappings;
        _announce = announce;
        _withdraw = withdraw;
    }

    public IReadOnlyList<AddressRange> Ranges => _ranges;

    public ulong PageSize { get; private set; } = SmallestPage;

    /// <summary>Opens an empty space.</summary>
    /// <exception cref="ApertureException">The kernel has no iommufd, or does not let this user have it.</exception>
    internal static IommufdSpace Open(
        IVfioCalls calls, HostPlaces places, DeviceMappings mappings, Action<SafeFileDescriptor>? announce, Action<SafeFileDescriptor>? withdraw)
    {
        const string Missing =
            "this kernel has no iommufd (/dev/iommu is missing); use a kernel from Linux 6.6 on with CONFIG_IOMMUFD, or give --vfio container";
        SafeFileDescriptor file = calls.Open(Path.Combine(places.Dev, "iommu"), out int errno);
        if (errno == 0 && calls.AllocateSpace(file, out uint space) is var result && result >= 0)
        {
            IommufdSpace made = new(calls, places, file, space, mappings, announce, withdraw);
            made.Refresh();
            return made;
        }

        file.Dispose();
        throw VfioFailure.Open("/dev/iommu", errno == 0 ? Errno.ENOTTY : errno, "a device", Missing);
    }

    /// <inheritdoc/>
    public string WhyNot(int errno, AddressRange range, ulong locked, bool isDevice) => IommuReason.For(errno, range, Ranges, locked, isDevice);

    public int Map(AddressRange range, HostAddress host, bool writable)
    {
        IommufdMapFlags flags = IommufdMapFlags.FixedAddress | IommufdMapFlags.Readable | (writable ? IommufdMapFlags.Writable : 0);
        if (_mappings.Find(host, range.Size) is { } device)
        {
            return MapDevice(device, range, device.Offset + (host.Value - device.Host.Value), flags);
        }

        return -Math.Min(0, _calls.Map(_file, _space, range, host, flags));
    }

    public int Unmap(AddressRange range)
    {
        int result = _calls.Unmap(_file, _space, range, out ulong unmapped);
        return result < 0 ? -result : unmapped == range.Size ? 0 : Errno.EINVAL;
    }

    /// <summary>Opens a device's character device, or takes over <paramref name="passed"/>, and attaches it.</summary>
    /// <exception cref="ApertureException">The device cannot be used, or what is mapped cannot be mapped for it.</exception>
    internal SafeFileDescriptor OpenDevice(HostDevice device, SafeFileDescriptor? passed, out IDisposable release)
    {
        SafeFileDescriptor file = passed ?? OpenCdev(device);
        bool announced = false;
        try
        {
            // KVM first: binding is when the driver wants to know the VM.
            _announce?.Invoke(file);
            announced = _announce is not null;
            if (_calls.BindIommufd(file, _file) is < 0 and int bound)
            {
                throw NotBound(device, -bound);
            }

            if (_calls.Attach(file, _space) is < 0 and int attached)
            {
                throw NotAttached(device, -attached);
            }

            Refresh();
            release = new Attachment(this, file);
            return file;
        }
        catch
        {
            if (announced)
            {
                _withdraw?.Invoke(file);
            }

            file.Dispose();
            throw;
        }
    }

    public void Dispose() => _file.Dispose();

    private SafeFileDescriptor OpenCdev(HostDevice device)
    {
        string path = $"/dev/vfio/devices/{device.Cdev}";
        string missing = $"{device.Name} has no character device below /dev/vfio/devices, which this kernel makes from Linux 6.6 on with "
            + "CONFIG_VFIO_DEVICE_CDEV; give --vfio container";
        if (device.Cdev is null)
        {
            throw VfioFailure.Make(missing);
        }

        SafeFileDescriptor file = _calls.Open(Path.Combine(_places.Dev, "vfio/devices", device.Cdev), out int errno);
        if (errno == 0)
        {
            return file;
        }

        file.Dispose();
        throw VfioFailure.Open(path, errno, device.Name, missing);
    }

    private ApertureException NotBound(HostDevice device, int errno)
    {
        string path = $"/dev/vfio/devices/{device.Cdev}";
        IReadOnlyList<string> obstacles = device.Obstacles(_places);
        return errno switch
        {
            Errno.EBUSY or Errno.EPERM or Errno.EINVAL when obstacles.Count > 0 => VfioFailure.NotViable(device, obstacles),

            // A second owner of the group is EBUSY; a second opener of the device EINVAL.
            Errno.EBUSY or Errno.EINVAL => VfioFailure.Make(VfioFailure.InUse(device.Name, path)),
            Errno.EPERM => VfioFailure.Make(
                $"{device.Name} cannot be assigned safely, because the host's IOMMU does not remap interrupts; turn that on in the firmware setup, or accept "
                    + "the risk "
                + "with: echo Y > /sys/module/iommufd/parameters/allow_unsafe_interrupts"),
            _ => VfioFailure.Make($"the kernel did not bind {device.Name} to iommufd: {MemoryMap.Describe(errno)}"),
        };
    }

    private static ApertureException NotAttached(HostDevice device, int errno) => VfioFailure.Make(errno switch
    {
        Errno.ENOMEM => $"the guest's memory cannot be mapped for {device.Name}: "
            + (ResourceLimit.LockedMemory() is { } limit
                ? $"it has to be locked as a whole and this process may lock {limit} bytes (RLIMIT_MEMLOCK); raise it with ulimit -l unlimited"
                : "the host has not enough memory left; give the guest less"),
        Errno.EINVAL or Errno.EADDRINUSE => $"the guest's memory lies where the host's IOMMU reserves addresses for {device.Name}; aperture plan shows which",
        _ => $"the kernel did not attach {device.Name} to the guest's address space: {MemoryMap.Describe(errno)}",
    });

    private int MapDevice(DeviceMapping device, AddressRange range, ulong offset, IommufdMapFlags flags)
    {
        int result = _calls.GetDmaBuf(device.Device, device.Region, offset, range.Size, out SafeFileDescriptor buffer);

        // The mapping keeps the buffer; the descriptor is needed for the call only.
        using (buffer)
        {
            if (result < 0)
            {
                return result is -Errno.ENOTTY or -Errno.EOPNOTSUPP ? Errno.EFAULT : -result;
            }

            result = _calls.MapFile(_file, _space, range, buffer, flags);
            return result is -Errno.ENOTTY or -Errno.EOPNOTSUPP ? Errno.EFAULT : -Math.Min(0, result);
        }
    }

    private void Refresh()
    {
        lock (_gate)
        {
            if (_calls.GetRanges(_file, _space, out IReadOnlyList<IovaRange> ranges, out ulong alignment) >= 0)
            {
                _ranges = IovaList.From(ranges);
                PageSize = Math.Max(SmallestPage, alignment);
            }
        }
    }

    private sealed class Attachment(IommufdSpace space, SafeFileDescriptor file) : IDisposable
    {
        private int _ended;

        public void Dispose()
        {
            if (Interlocked.Exchange(ref _ended, 1) == 0)
            {
                _ = space._calls.Detach(file);
                space._withdraw?.Invoke(file);
                file.Dispose();
                space.Refresh();
            }
        }
    }
}
