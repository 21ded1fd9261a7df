using Aperture.Assignment;
using Aperture.Linux;
using Aperture.Linux.Vfio;
using Aperture.Memory;

namespace Aperture.Vfio;

/// <summary>
/// A device that the kernel let this process have. Dispose it last: after its regions left the guest and every block that <see cref="Map"/> gave was disposed,
/// since each keeps the device open. Thread-safe but for disposal.
/// </summary>
public sealed class VfioDevice : IVfioDevice, IRegionFiles
{
    // More than any device has; a reply that claims more is cut.
    private const uint MostRegions = 64;
    private const uint MostIrqs = 16;
    private const ulong Page = 4096;

    private readonly IVfioCalls _calls;
    private readonly SafeFileDescriptor _file;
    private readonly DeviceMappings _mappings;
    private readonly IDisposable _release;
    private readonly BusResets _busResets;
    private readonly VfioRegionReply[] _replies;
    private bool _resetAlong;

    internal VfioDevice(string name, IVfioCalls calls, SafeFileDescriptor file, DeviceMappings mappings, IDisposable release, BusResets busResets)
    {
        Name = name;
        _calls = calls;
        _file = file;
        _mappings = mappings;
        _release = release;
        _busResets = busResets;
        int result = calls.GetDeviceInfo(file, out VfioDeviceFlags flags, out uint regions, out uint irqs);
        if (result < 0 || !flags.HasFlag(VfioDeviceFlags.Pci))
        {
            throw VfioFailure.Make(result < 0
                ? $"the kernel does not describe {name}: {MemoryMap.Describe(-result)}"
                : $"{name} is not a PCI device; only PCI devices can be assigned");
        }

        CanReset = flags.HasFlag(VfioDeviceFlags.Reset);
        _replies = new VfioRegionReply[Math.Max(Math.Min(regions, MostRegions), (uint)VfioRegionIndex.Vga + 1)];
        for (int i = 0; i < _replies.Length; i++)
        {
            // EINVAL: a region that only other devices have, such as VGA.
            _ = calls.GetRegionInfo(file, (uint)i, out _replies[i]);
        }

        Regions = [.. _replies.Select(static (reply, index) => RegionShape.From(index, reply))];
        Irqs = [.. Enumerable.Range(0, (int)Math.Max(Math.Min(irqs, MostIrqs), (uint)VfioIrqIndex.Request + 1)).Select(AskIrq)];
    }

    /// <inheritdoc/>
    public string Name { get; }

    /// <inheritdoc/>
    public bool CanReset { get; }

    /// <summary>What to tell the user when nothing resets the device between guests; null when something does.</summary>
    public string? ResetWarning => CanReset
        ? null
        : $"{Name} cannot be reset by the host: the next guest, or the host, finds it as the last one left it";

    /// <inheritdoc/>
    public IReadOnlyList<VfioRegion> Regions { get; }

    /// <inheritdoc/>
    public IReadOnlyList<VfioIrq> Irqs { get; }

    internal SafeFileDescriptor File => _file;

    /// <summary>The guest does not use it: it may be reset with others. Under the marks' lock of <see cref="BusResets"/>.</summary>
    internal bool IsIdle { get; set; } = true;

    /// <summary>It was reset with another since it is idle, and has not been told to reset. Under the same lock.</summary>
    internal bool IsResetDone { get; set; }

    /// <inheritdoc/>
    public bool IsResetAlong
    {
        get => Volatile.Read(ref _resetAlong);
        internal set => Volatile.Write(ref _resetAlong, value);
    }

    internal bool IsReleasedBy(IDisposable release) => ReferenceEquals(_release, release);

    /// <inheritdoc/>
    public int Read(int region, ulong offset, Span<byte> destination)
    {
        if (!IsInside(region, offset, destination.Length))
        {
            destination.Fill(0xFF);
            return Errno.EINVAL;
        }

        for (int done = 0; done < destination.Length;)
        {
            int count = _calls.ReadAt(_file, _replies[region].Offset + offset + (ulong)done, destination[done..]);
            if (count <= 0)
            {
                destination.Fill(0xFF);
                return count < 0 ? -count : Errno.EIO;
            }

            done += count;
        }

        return 0;
    }

    /// <inheritdoc/>
    public int Write(int region, ulong offset, ReadOnlySpan<byte> source)
    {
        if (!IsInside(region, offset, source.Length))
        {
            return Errno.EINVAL;
        }

        while (!source.IsEmpty)
        {
            int count = _calls.WriteAt(_file, _replies[region].Offset + offset, source);
            if (count <= 0)
            {
                return count < 0 ? -count : Errno.EIO;
            }

            source = source[count..];
            offset += (ulong)count;
        }

        return 0;
    }

    /// <inheritdoc/>
    public RamBlock Map(int region, VfioArea area)
    {
        ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual((uint)region, (uint)_replies.Length);
        VfioRegionReply reply = _replies[region];
        ulong mappable = (reply.Length + Page - 1) & ~(Page - 1);
        if (area.Size == 0 || (area.Offset | area.Size) % Page != 0 || area.Offset > mappable || area.Size > mappable - area.Offset)
        {
            throw new ArgumentOutOfRangeException(nameof(area), $"{area} is not whole pages inside region {region} of {Name}");
        }

        bool readable = reply.Flags.HasFlag(VfioRegionFlags.Read);
        bool writable = reply.Flags.HasFlag(VfioRegionFlags.Write);
        string name = $"{Name} region {region}";
        int errno = ForeignMapping.TryMap(
            _file, reply.Offset + area.Offset, area.Size, area.Offset, reply.Length, readable, writable, out HostAddress host);
        if (errno != 0)
        {
            throw VfioFailure.Make($"the kernel does not map {ByteSize.Format(area.Size)} of {name}: {MemoryMap.Describe(errno)}");
        }

        DeviceMapping mapping = new(host, area.Size, _file, (uint)region, area.Offset) { Name = name, IsReadable = reply.Flags.HasFlag(VfioRegionFlags.Read) };
        _mappings.Add(mapping);
        return RamBlock.Foreign(name, host, area.Size, new Unmapper(_mappings, mapping));
    }

    /// <inheritdoc/>
    public SafeFileDescriptor? Share(int region, out ulong offset)
    {
        offset = (uint)region < (uint)_replies.Length ? _replies[region].Offset : 0;
        return (uint)region < (uint)_replies.Length && Regions[region].Areas is [{ Offset: 0 } whole] && whole.Size == Regions[region].Size ? _file : null;
    }

    /// <inheritdoc/>
    public int SetTriggers(int index, int first, ReadOnlySpan<EventFd?> triggers)
    {
        Span<int> numbers = triggers.Length <= 64 ? stackalloc int[64] : new int[triggers.Length];
        numbers = numbers[..triggers.Length];
        for (int i = 0; i < triggers.Length; i++)
        {
            numbers[i] = triggers[i]?.Descriptor.Number ?? -1;
        }

        int result = _calls.SetIrqs(_file, VfioIrqAction.EventFds | VfioIrqAction.Trigger, (uint)index, (uint)first, (uint)triggers.Length, numbers);
        foreach (EventFd? trigger in triggers)
        {
            GC.KeepAlive(trigger);
        }

        // A positive answer is the number of vectors that could be had, and then none was enabled.
        return result > 0 ? Errno.ENOSPC : -result;
    }

    /// <inheritdoc/>
    public int DisableIrqs(int index) =>
        -Math.Min(0, _calls.SetIrqs(_file, VfioIrqAction.NoData | VfioIrqAction.Trigger, (uint)index, 0, 0, []));

    /// <inheritdoc/>
    public int SetIntxMask(bool masked) =>
        -Math.Min(0, _calls.SetIrqs(_file, VfioIrqAction.NoData | (masked ? VfioIrqAction.Mask : VfioIrqAction.Unmask), VfioIrqIndex.Intx, 0, 1, []));

    /// <inheritdoc/>
    public int SetIntxUnmask(EventFd? unmask)
    {
        int number = unmask?.Descriptor.Number ?? -1;
        int result = _calls.SetIrqs(_file, VfioIrqAction.EventFds | VfioIrqAction.Unmask, VfioIrqIndex.Intx, 0, 1, new ReadOnlySpan<int>(in number));
        GC.KeepAlive(unmask);
        return -Math.Min(0, result);
    }

    /// <summary>
    /// VFIO_DEVICE_RESET (the kernel's choice of a device-specific reset, FLR, power management or bus reset); where the device has none, a reset of its bus or
    /// slot if no other device in use sits there; those of this machine that are idle are reset with it, and not once more. 0, or an errno. Every mapping of
    /// the device must be out of the guest.
    /// </summary>
    public int Reset()
    {
        int errno = CanReset ? -Math.Min(0, _calls.Reset(_file)) : Errno.ENOTTY;
        return errno == 0 ? 0 : _busResets.Reset(this) is 0 ? 0 : errno;
    }

    /// <inheritdoc/>
    public void SetIdle(bool idle) => _busResets.SetIdle(this, idle);

    /// <summary>Gives the device back to the host.</summary>
    public void Dispose() => _release.Dispose();

    private bool IsInside(int region, ulong offset, int length) =>
        (uint)region < (uint)_replies.Length && offset <= _replies[region].Length && (ulong)length <= _replies[region].Length - offset;

    private VfioIrq AskIrq(int index)
    {
        int result = _calls.GetIrqInfo(_file, (uint)index, out VfioIrqFlags flags, out uint count);
        return result < 0 || !flags.HasFlag(VfioIrqFlags.EventFd)
            ? new VfioIrq(index, 0, false, false, false)
            : new VfioIrq(
                index,
                (int)Math.Min(count, 4096),
                flags.HasFlag(VfioIrqFlags.Maskable),
                flags.HasFlag(VfioIrqFlags.AutoMasked),
                !flags.HasFlag(VfioIrqFlags.NoResize));
    }

    private sealed class Unmapper(DeviceMappings mappings, DeviceMapping mapping) : IDisposable
    {
        public void Dispose()
        {
            mappings.Remove(mapping);
            _ = MemoryMap.Unmap(mapping.Host, mapping.Size);
        }
    }
}
