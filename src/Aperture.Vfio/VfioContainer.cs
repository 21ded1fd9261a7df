using Aperture.Assignment;
using Aperture.Linux;
using Aperture.Linux.Vfio;

namespace Aperture.Vfio;

/// <summary>
/// A VFIO container (/dev/vfio/vfio) with its groups. The kernel gives a container its IOMMU with the first group and takes IOMMU and mappings away with the
/// last; what is mapped here is remembered, so that it holds for whichever groups come and go. Thread-safe.
/// </summary>
internal sealed class VfioContainer : IIommuMap
{
    private const ulong SmallestPage = 4096;

    private readonly IVfioCalls _calls;
    private readonly HostPlaces _places;
    private readonly SafeFileDescriptor _file;
    private readonly Action<SafeFileDescriptor>? _announce;
    private readonly Action<SafeFileDescriptor>? _withdraw;
    private readonly Lock _gate = new();
    private readonly Dictionary<int, Group> _groups = [];
    private readonly SortedDictionary<ulong, Mapping> _mappings = [];
    private volatile IReadOnlyList<AddressRange> _ranges = [];

    private VfioContainer(
        IVfioCalls calls, HostPlaces places, SafeFileDescriptor file, Action<SafeFileDescriptor>? announce, Action<SafeFileDescriptor>? withdraw)
    {
        _calls = calls;
        _places = places;
        _file = file;
        _announce = announce;
        _withdraw = withdraw;
    }

    public IReadOnlyList<AddressRange> Ranges => _ranges;

    public ulong PageSize { get; private set; } = SmallestPage;

    /// <summary>Opens a container without a group.</summary>
    /// <exception cref="ApertureException">The kernel has no VFIO, or does not let this user have it.</exception>
    internal static VfioContainer Open(IVfioCalls calls, HostPlaces places, Action<SafeFileDescriptor>? announce, Action<SafeFileDescriptor>? withdraw)
    {
        const string Missing = "this kernel has no VFIO (/dev/vfio/vfio is missing); load it with: modprobe vfio-pci";
        SafeFileDescriptor file = calls.Open(Path.Combine(places.Dev, "vfio/vfio"), out int errno);
        try
        {
            if (errno != 0)
            {
                throw VfioFailure.Open("/dev/vfio/vfio", errno, "a device", Missing);
            }

            if (calls.GetApiVersion(file) != 0)
            {
                throw VfioFailure.Make("this kernel's VFIO has another interface than version 0; use a kernel from Linux 4.0 on");
            }

            if (!calls.Supports(file, VfioIommuType.Type1v2))
            {
                throw VfioFailure.Make("this kernel's VFIO has no IOMMU driver for this machine; load it with: modprobe vfio_iommu_type1");
            }

            return new VfioContainer(calls, places, file, announce, withdraw);
        }
        catch
        {
            file.Dispose();
            throw;
        }
    }

    /// <inheritdoc/>
    public string WhyNot(int errno, AddressRange range, ulong locked, bool isDevice) => IommuReason.For(errno, range, Ranges, locked, isDevice);

    public int Map(AddressRange range, HostAddress host, bool writable)
    {
        lock (_gate)
        {
            if (_mappings.ContainsKey(range.Start.Value))
            {
                return Errno.EEXIST;
            }

            Mapping mapping = new(range, host, writable);
            int errno = _groups.Count == 0 ? 0 : MapNow(mapping);
            if (errno == 0)
            {
                _mappings[range.Start.Value] = mapping;
            }

            return errno;
        }
    }

    public int Unmap(AddressRange range)
    {
        lock (_gate)
        {
            if (!_mappings.TryGetValue(range.Start.Value, out Mapping? mapping) || mapping.Range != range)
            {
                return Errno.ENOENT;
            }

            // The kernel answers with success and 0 bytes where it has no such mapping.
            ulong unmapped = range.Size;
            int result = _groups.Count == 0 ? 0 : _calls.UnmapDma(_file, range, out unmapped);
            if (result >= 0 && unmapped == range.Size)
            {
                _mappings.Remove(range.Start.Value);
                return 0;
            }

            return result < 0 ? -result : Errno.EINVAL;
        }
    }

    /// <summary>Opens a device of a group, which joins the container when it is the first of it.</summary>
    /// <exception cref="ApertureException">The group or the device cannot be used, or what is mapped cannot be mapped for it.</exception>
    internal SafeFileDescriptor OpenDevice(HostDevice device, out IDisposable release)
    {
        lock (_gate)
        {
            int number = device.Group ?? throw VfioFailure.Make(
                $"{device.Name} is in no VFIO group, because this kernel has none (CONFIG_VFIO_GROUP); give --vfio iommufd");
            if (!_groups.TryGetValue(number, out Group? group))
            {
                group = Join(device, number);
            }

            int errno = -_calls.GetDevice(group.File, device.Name, out SafeFileDescriptor file);
            if (errno != 0)
            {
                file.Dispose();
                LeaveIfUnused(group);
                throw NotOpened(device, errno);
            }

            group.Devices++;
            release = new Membership(this, group, file);
            return file;
        }
    }

    /// <summary>The descriptors of those of <paramref name="groups"/> that are in the container, each once, as a hot reset wants them.</summary>
    internal int[] GroupDescriptors(IEnumerable<uint> groups)
    {
        lock (_gate)
        {
            return [.. groups.Distinct().Select(number => _groups.GetValueOrDefault((int)number)).OfType<Group>().Select(group => group.File.Number)];
        }
    }

    public void Dispose()
    {
        lock (_gate)
        {
            foreach (Group group in _groups.Values.ToArray())
            {
                Leave(group);
            }

            _file.Dispose();
        }
    }

    private static ApertureException NotOpened(HostDevice device, int errno) => VfioFailure.Make(errno switch
    {
        Errno.EBUSY => VfioFailure.InUse(device.Name, $"/dev/vfio/{device.Group}"),
        Errno.ENODEV => $"{device.Name} is no longer bound to vfio-pci; bind it again and start over",
        Errno.EACCES => $"{device.Name} is a virtual function whose physical function is held by vfio-pci with a token; give the physical function back to "
            + "its driver",
        _ => $"the kernel did not open {device.Name}: {MemoryMap.Describe(errno)}",
    });

    private Group Join(HostDevice device, int number)
    {
        string path = $"/dev/vfio/{number}";
        SafeFileDescriptor file = _calls.Open(Path.Combine(_places.Dev, $"vfio/{number}"), out int errno);
        bool joined = false;
        try
        {
            if (errno != 0)
            {
                throw VfioFailure.Open(
                    path, errno, device.Name, $"{path}, the IOMMU group of {device.Name}, is missing; bind {device.Name} to vfio-pci and let udev make it");
            }

            if (_calls.GetGroupStatus(file, out VfioGroupFlags flags) < 0 || !flags.HasFlag(VfioGroupFlags.Viable))
            {
                throw VfioFailure.NotViable(device, device.Obstacles(_places));
            }

            int set = _calls.SetContainer(file, _file);
            if (set == -Errno.EINVAL && _groups.Count > 0)
            {
                throw VfioFailure.Make(
                    $"{device.Name} cannot join the other devices, because its IOMMU differs from theirs or reserves addresses where the guest has memory; "
                        + "aperture plan shows the latter");
            }

            Check(set, device, "did not put the IOMMU group into this machine's container");
            joined = true;
            Group group = new(number, file);
            Configure(device);
            _announce?.Invoke(file);
            _groups.Add(number, group);
            return group;
        }
        catch
        {
            if (joined)
            {
                _ = _calls.UnsetContainer(file);
            }

            file.Dispose();
            throw;
        }
    }

    // After a group came: the first gives the container its IOMMU and has everything mapped again; each may narrow what can be mapped.
    private void Configure(HostDevice device)
    {
        bool first = _groups.Count == 0;
        if (first)
        {
            int errno = -_calls.SetIommu(_file, VfioIommuType.Type1v2);
            if (errno == Errno.EPERM)
            {
                throw VfioFailure.Make(
                    $"{device.Name} cannot be assigned safely, because the host's IOMMU does not remap interrupts; turn that on in the firmware setup, or "
                        + "accept the risk "
                    + "with: echo Y > /sys/module/vfio_iommu_type1/parameters/allow_unsafe_interrupts");
            }

            Check(-errno, device, "did not set up the IOMMU");
        }

        if (_calls.GetIommuInfo(_file, out VfioIommuReply reply) >= 0)
        {
            _ranges = IovaList.From(reply.Ranges);
            PageSize = reply.PageSizes == 0 ? SmallestPage : Math.Max(SmallestPage, reply.PageSizes & (~reply.PageSizes + 1));
        }

        foreach (Mapping mapping in first ? _mappings.Values.ToArray() : [])
        {
            if (MapNow(mapping) is not 0 and int errno)
            {
                ulong bytes = _mappings.Values.Aggregate(0UL, static (sum, each) => sum + each.Range.Size);
                throw VfioFailure.Make(
                    $"guest memory at {mapping.Range} cannot be mapped for {device.Name}: "
                        + $"{IommuReason.For(errno, mapping.Range, _ranges, bytes, isDevice: false)}");
            }
        }
    }

    private static void Check(int result, HostDevice device, string what)
    {
        if (result < 0)
        {
            throw VfioFailure.Make(-result == Errno.EBUSY
                ? VfioFailure.InUse(device.Name, $"/dev/vfio/{device.Group}")
                : $"the kernel {what} for {device.Name}: {MemoryMap.Describe(-result)}");
        }
    }

    private int MapNow(Mapping mapping) =>
        -Math.Min(0, _calls.MapDma(_file, mapping.Range, mapping.Host, VfioDmaFlags.Read | (mapping.Writable ? VfioDmaFlags.Write : 0)));

    private void LeaveIfUnused(Group group)
    {
        if (group.Devices == 0)
        {
            Leave(group);
        }
    }

    // KVM first: it holds the file. The device's descriptors are closed already, or the kernel would keep the group.
    private void Leave(Group group)
    {
        if (!_groups.Remove(group.Number))
        {
            return;
        }

        _withdraw?.Invoke(group.File);
        _ = _calls.UnsetContainer(group.File);
        group.File.Dispose();
    }

    private sealed record Mapping(AddressRange Range, HostAddress Host, bool Writable);

    private sealed class Group(int number, SafeFileDescriptor file)
    {
        internal int Number => number;

        internal SafeFileDescriptor File => file;

        internal int Devices { get; set; }
    }

    private sealed class Membership(VfioContainer container, Group group, SafeFileDescriptor device) : IDisposable
    {
        private int _ended;

        public void Dispose()
        {
            if (Interlocked.Exchange(ref _ended, 1) == 0)
            {
                device.Dispose();
                lock (container._gate)
                {
                    group.Devices--;
                    container.LeaveIfUnused(group);
                }
            }
        }
    }
}
