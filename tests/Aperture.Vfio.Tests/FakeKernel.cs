using Aperture.Linux;
using Aperture.Linux.Vfio;

namespace Aperture.Vfio.Tests;

/// <summary>
/// A kernel with VFIO and iommufd that notes every call in order and refuses what it is told to. Descriptors are real ones of /dev/null, or of a file.
/// </summary>
internal sealed class FakeKernel : IVfioCalls
{
    private readonly Dictionary<SafeFileDescriptor, string> _names = [];

    /// <summary>The calls in order, with the name of the file they were made on.</summary>
    /// <summary>Called within each call, with its name.</summary>
    public Action<string>? Within { get; set; }

    public List<string> Calls { get; } = [];

    /// <summary>Errno by call name, or by call name and file (<c>GetDevice 7</c>).</summary>
    public Dictionary<string, int> Refusals { get; } = [];

    /// <summary>What the devices' descriptors are opened on: their regions.</summary>
    public string Backing { get; set; } = "/dev/null";

    public VfioGroupFlags GroupFlags { get; set; } = VfioGroupFlags.Viable;

    public VfioDeviceFlags DeviceFlags { get; set; } = VfioDeviceFlags.Pci | VfioDeviceFlags.Reset;

    public Dictionary<uint, VfioRegionReply> Regions { get; } = [];

    public Dictionary<uint, (VfioIrqFlags Flags, uint Count)> Irqs { get; } = [];

    public List<IovaRange> Ranges { get; } = [];

    public List<VfioDependentDevice> Affected { get; } = [];

    public Dictionary<ulong, (AddressRange Range, HostAddress Host, bool Writable, string From)> Mapped { get; } = [];

    public List<int> LastEventFds { get; private set; } = [];

    public string NameOf(SafeFileDescriptor file) => _names.GetValueOrDefault(file, "?");

    public SafeFileDescriptor Open(string path, out int errno)
    {
        string name = path[(path.IndexOf("/dev/", StringComparison.Ordinal) + 5)..];
        errno = Answer("Open", name);
        return errno == 0 ? New(name) : new SafeFileDescriptor();
    }

    public int GetApiVersion(SafeFileDescriptor container) => 0;

    public bool Supports(SafeFileDescriptor container, VfioIommuType type) => type == VfioIommuType.Type1v2;

    public int SetIommu(SafeFileDescriptor container, VfioIommuType type) => -Answer("SetIommu", NameOf(container));

    public int GetGroupStatus(SafeFileDescriptor group, out VfioGroupFlags flags)
    {
        flags = GroupFlags;
        return 0;
    }

    public int SetContainer(SafeFileDescriptor group, SafeFileDescriptor container) => -Answer("SetContainer", NameOf(group));

    public int UnsetContainer(SafeFileDescriptor group)
    {
        Mapped.Clear();
        return -Answer("UnsetContainer", NameOf(group));
    }

    public int GetDevice(SafeFileDescriptor group, string name, out SafeFileDescriptor device)
    {
        int errno = Answer("GetDevice", name);
        device = errno == 0 ? New(name) : new SafeFileDescriptor();
        return -errno;
    }

    public int GetIommuInfo(SafeFileDescriptor container, out VfioIommuReply reply)
    {
        reply = new VfioIommuReply(0x4020_1000, Ranges, null);
        return 0;
    }

    public int MapDma(SafeFileDescriptor container, AddressRange range, HostAddress address, VfioDmaFlags flags) =>
        Enter("MapDma", range, address, flags.HasFlag(VfioDmaFlags.Write), "memory");

    public int UnmapDma(SafeFileDescriptor container, AddressRange range, out ulong unmapped)
    {
        unmapped = Mapped.Remove(range.Start.Value) ? range.Size : 0;
        return -Answer("UnmapDma", range.ToString());
    }

    public int BindIommufd(SafeFileDescriptor device, SafeFileDescriptor iommufd) => -Answer("Bind", NameOf(device));

    public int Attach(SafeFileDescriptor device, uint space) => -Answer("Attach", NameOf(device));

    public int Detach(SafeFileDescriptor device) => -Answer("Detach", NameOf(device));

    public int AllocateSpace(SafeFileDescriptor iommufd, out uint space)
    {
        space = 5;
        return -Answer("AllocateSpace", NameOf(iommufd));
    }

    public int GetRanges(SafeFileDescriptor iommufd, uint space, out IReadOnlyList<IovaRange> ranges, out ulong alignment)
    {
        (ranges, alignment) = ([.. Ranges], 4096);
        return 0;
    }

    public int Map(SafeFileDescriptor iommufd, uint space, AddressRange range, HostAddress address, IommufdMapFlags flags) =>
        Enter("Map", range, address, flags.HasFlag(IommufdMapFlags.Writable), "memory");

    public int MapFile(SafeFileDescriptor iommufd, uint space, AddressRange range, SafeFileDescriptor file, IommufdMapFlags flags) =>
        Enter("MapFile", range, default, flags.HasFlag(IommufdMapFlags.Writable), NameOf(file));

    public int Unmap(SafeFileDescriptor iommufd, uint space, AddressRange range, out ulong unmapped)
    {
        bool there = Mapped.Remove(range.Start.Value);
        unmapped = there ? range.Size : 0;
        return there ? 0 : -Errno.ENOENT;
    }

    public int GetDmaBuf(SafeFileDescriptor device, uint region, ulong offset, ulong length, out SafeFileDescriptor buffer)
    {
        int errno = Answer("GetDmaBuf", $"{NameOf(device)} region {region}+0x{offset:x}");
        buffer = errno == 0 ? New($"buffer of {NameOf(device)} region {region}+0x{offset:x} 0x{length:x}") : new SafeFileDescriptor();
        return -errno;
    }

    public int GetDeviceInfo(SafeFileDescriptor device, out VfioDeviceFlags flags, out uint regions, out uint irqs)
    {
        (flags, regions, irqs) = (DeviceFlags, 9, 5);
        return -Answer("GetDeviceInfo", NameOf(device));
    }

    public int GetRegionInfo(SafeFileDescriptor device, uint index, out VfioRegionReply reply)
    {
        bool there = Regions.TryGetValue(index, out VfioRegionReply? found);
        reply = found ?? VfioReplies.Region([]);
        return there ? 0 : -Errno.EINVAL;
    }

    public int GetIrqInfo(SafeFileDescriptor device, uint index, out VfioIrqFlags flags, out uint count)
    {
        bool there = Irqs.TryGetValue(index, out (VfioIrqFlags Flags, uint Count) found);
        (flags, count) = found;
        return there ? 0 : -Errno.EINVAL;
    }

    public int SetIrqs(SafeFileDescriptor device, VfioIrqAction action, uint index, uint start, uint count, ReadOnlySpan<int> eventFds)
    {
        LastEventFds = [.. eventFds];
        return -Answer("SetIrqs", $"{action} {index} {start}+{count}");
    }

    public int Reset(SafeFileDescriptor device) => -Answer("Reset", NameOf(device));

    public int GetHotResetInfo(SafeFileDescriptor device, out IReadOnlyList<VfioDependentDevice> affected)
    {
        affected = Affected;
        return -Answer("GetHotResetInfo", NameOf(device));
    }

    /// <summary>As vfio_pci_core does: no more groups than functions, and every function's group among them (none with iommufd).</summary>
    public int HotReset(SafeFileDescriptor device, ReadOnlySpan<int> groups)
    {
        int errno = Answer("HotReset", $"{NameOf(device)} with {groups.Length} groups");
        HashSet<string> given = [.. groups.ToArray().Select(number => _names.First(pair => !pair.Key.IsClosed && pair.Key.Number == number).Value)];
        bool missing = groups.Length > 0 && Affected.Exists(each => !given.Contains($"vfio/{each.Group}"));
        return errno != 0 ? -errno : groups.Length > Affected.Count || missing ? -Errno.EINVAL : 0;
    }

    public int ReadAt(SafeFileDescriptor device, ulong offset, Span<byte> destination) => FileDescriptors.TryReadAt(device, offset, destination);

    public int WriteAt(SafeFileDescriptor device, ulong offset, ReadOnlySpan<byte> source) => FileDescriptors.TryWriteAt(device, offset, source);

    /// <summary>Notes a call of somebody else, such as the hypervisor's.</summary>
    public void Note(string call, SafeFileDescriptor file) => Calls.Add($"{call} {NameOf(file)}");

    /// <summary>Descriptors that were given out and not closed.</summary>
    public IReadOnlyList<string> StillOpen => [.. _names.Where(pair => !pair.Key.IsClosed).Select(pair => pair.Value)];

    private int Enter(string call, AddressRange range, HostAddress address, bool writable, string from)
    {
        int errno = Answer(call, range.ToString());
        if (errno == 0)
        {
            Mapped.Add(range.Start.Value, (range, address, writable, from));
        }

        return -errno;
    }

    private int Answer(string call, string detail)
    {
        Calls.Add($"{call} {detail}");
        Within?.Invoke(call);
        return Refusals.TryGetValue($"{call} {detail}", out int errno) || Refusals.TryGetValue(call, out errno) ? errno : 0;
    }

    private SafeFileDescriptor New(string name)
    {
        SafeFileDescriptor file = FileDescriptors.Open(Backing, OpenFlags.ReadWrite);
        _names.Add(file, name);
        return file;
    }
}
