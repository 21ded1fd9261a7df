using Aperture.Assignment;
using Aperture.Linux;
using Aperture.Linux.Net;
using Aperture.Memory;
using Aperture.VfioUser.Protocol;
using Aperture.VfioUser.Transport;

namespace Aperture.VfioUser.Client;

/// <summary>
/// A device that another process serves over a socket (vfio-user protocol). A server that dies or breaks the protocol leaves a dead device: every access
/// answers with an errno at once, and it is reported once. Its memory is reached through <see cref="Iommu"/>. Thread-safe but for disposal.
/// </summary>
public sealed class VfioUserDevice : IVfioDevice
{
    // More than any device has; a reply that claims more is cut.
    private const uint MostRegions = 64;
    private const uint MostIrqs = 16;
    private const uint MostVectors = 4096;
    private const uint MostRegionInfo = 64 << 10;
    private const ulong ExtensionPage = 4096;

    private readonly ServerConnection _connection;
    private readonly ClientOptions _options;
    private readonly RegionFile[] _files;
    private readonly List<VfioArea>[] _faulting;
    private readonly GrantedAreas? _granted;
    private readonly bool _posts;

    private VfioUserDevice(ServerConnection connection, string name, ClientOptions options, ISharedMemory? shared, GrantedAreas? granted)
    {
        (_connection, Name, _options, _granted) = (connection, name, options, granted);
        DeviceInfo info = AskDevice();
        CanReset = info.Flags.HasFlag(DeviceFlags.Reset);
        _files = new RegionFile[Math.Max(Math.Min(info.Regions, MostRegions), (uint)VfioRegionIndex.Vga + 1)];
        Array.Fill(_files, RegionFile.None);
        _faulting = [.. _files.Select(static _ => new List<VfioArea>())];
        if (connection.Grants is { } grants)
        {
            grants.Regions = _files.Length;
        }

        try
        {
            Regions = [.. Enumerable.Range(0, _files.Length).Select(index => AskRegion(index, index < info.Regions))];
            int irqs = (int)Math.Max(Math.Min(info.Irqs, MostIrqs), (uint)VfioIrqIndex.Request + 1);
            Irqs = [.. Enumerable.Range(0, irqs).Select(index => AskIrq(index, index < info.Irqs))];
            if (_connection.Dead is var errno and not 0)
            {
                throw Failure($"the server of {name} does not describe its device: {Errno.Name(errno)}");
            }
        }
        catch
        {
            CloseFiles();
            throw;
        }

        _posts = options.PostWrites && Regions.All(static r => r.Areas.Count == 0);
        Iommu = new VfioUserIommu(connection, name, shared);
        granted?.Begin(this, _faulting);
    }

    /// <inheritdoc/>
    public string Name { get; }

    /// <inheritdoc/>
    public bool CanReset { get; }

    /// <summary>No bus is shared with another device.</summary>
    public bool IsResetAlong => false;

    /// <inheritdoc/>
    public IReadOnlyList<VfioRegion> Regions { get; }

    /// <inheritdoc/>
    public IReadOnlyList<VfioIrq> Irqs { get; }

    /// <summary>What of the guest's memory the server reaches. Owned by the device.</summary>
    public IIommuMap Iommu { get; }

    /// <summary>True once the server is dead.</summary>
    public bool IsDead => _connection.Dead != 0;

    /// <summary>Connects to the server that listens at <paramref name="path"/>.</summary>
    /// <param name="path">Its socket.</param>
    /// <param name="events">Told when the server dies.</param>
    /// <param name="memory">The guest's memory, for a server that reaches it by messages. Only RAM: it must not lead to a device.</param>
    /// <param name="shared">Where the guest's memory can be mapped from; null: the server reaches it by messages only.</param>
    /// <param name="options">How the server is treated.</param>
    /// <exception cref="ApertureException">Nobody listens there, or it is no vfio-user server of a PCI device.</exception>
    public static VfioUserDevice Connect(
        string path, IEventSink events, IDma? memory = null, ISharedMemory? shared = null, ClientOptions? options = null)
    {
        int result = UnixSocket.TryConnect(path, out SafeFileDescriptor socket);
        if (result != 0)
        {
            socket.Dispose();
            throw new LinuxException($"cannot connect to {path}; start the program that serves the device, with --socket-path {path}", -result);
        }

        return Open(socket, path, events, memory, shared, options);
    }

    /// <summary>The same over a connected socket, which it takes over. <paramref name="name"/> is what messages call the device.</summary>
    /// <exception cref="ApertureException">It is no vfio-user server of a PCI device.</exception>
    public static VfioUserDevice Open(
        SafeFileDescriptor socket, string name, IEventSink events, IDma? memory = null, ISharedMemory? shared = null, ClientOptions? options = null)
    {
        ArgumentNullException.ThrowIfNull(socket);
        ArgumentNullException.ThrowIfNull(events);
        options ??= new ClientOptions();
        GrantedAreas? granted = options is { MapGrants: true, Grants: null } ? new GrantedAreas(name, events) : null;
        ServerConnection? connection = null;
        try
        {
            connection = ServerConnection.Open(socket, granted is null ? options : options with { Grants = granted }, name, events, memory);
            return new VfioUserDevice(connection, name, options, shared, granted);
        }
        catch
        {
            connection?.Dispose();
            granted?.Dispose();
            throw;
        }
    }

    /// <inheritdoc/>
    public int Read(int region, ulong offset, Span<byte> destination)
    {
        _granted?.AskAgain();
        while (!destination.IsEmpty)
        {
            int count = Math.Min(destination.Length, _connection.MostData);
            int errno = IsInside(region, offset, destination.Length) ? ReadPiece(region, offset, destination[..count]) : Errno.EINVAL;
            if (errno != 0)
            {
                destination.Fill(0xFF);
                return errno;
            }

            offset += (ulong)count;
            destination = destination[count..];
        }

        return 0;
    }

    /// <inheritdoc/>
    public int Write(int region, ulong offset, ReadOnlySpan<byte> source)
    {
        _granted?.AskAgain();
        while (!source.IsEmpty)
        {
            int count = Math.Min(source.Length, _connection.MostData);
            int errno = IsInside(region, offset, source.Length) ? WritePiece(region, offset, source[..count]) : Errno.EINVAL;
            if (errno != 0)
            {
                return errno;
            }

            offset += (ulong)count;
            source = source[count..];
        }

        return 0;
    }

    /// <inheritdoc/>
    public RamBlock Map(int region, VfioArea area)
    {
        ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual((uint)region, (uint)Regions.Count);
        VfioRegion known = Regions[region];
        if (_granted is { CanMap: true } && _faulting[region].Exists(a => area.Offset >= a.Offset && area.Offset - a.Offset < a.Size
            && area.Size <= a.Size - (area.Offset - a.Offset)))
        {
            return _granted.Make(region, area, known.Size);
        }

        if (_files[region].File is not { } file || !known.Areas.Any(a => area.Offset >= a.Offset && area.Offset - a.Offset < a.Size
            && area.Size <= a.Size - (area.Offset - a.Offset)))
        {
            throw new ArgumentOutOfRangeException(nameof(area), $"{area} is not inside what may be mapped of region {region} of {Name}");
        }

        // Memory that the file has not would end the guest at its first touch.
        ulong offset = _files[region].Offset + area.Offset;
        int errno = MemoryFile.TryLength(file, out ulong length) != 0 || (offset <= length && area.Size <= length - offset) ? 0 : Errno.EINVAL;
        HostAddress host = default;
        errno = errno != 0
            ? errno
            : ForeignMapping.TryMap(file, offset, area.Size, area.Offset, known.Size, known.Readable, known.Writable, out host);
        return errno == 0
            ? RamBlock.Foreign($"{Name} region {region}", host, area.Size, new Unmapper(host, area.Size))
            : throw Failure($"{ByteSize.Format(area.Size)} of {Name} region {region} cannot be mapped: {MemoryMap.Describe(errno)}");
    }

    /// <summary>The areas of a region where the first touch of a page is asked for (<see cref="Touch"/>); empty for a server without the extension.</summary>
    public IReadOnlyList<VfioArea> FaultingAreas(int region) => _faulting[region];

    /// <summary>
    /// Asks for a page of a faulting area. What is granted is put in place by <paramref name="install"/>, under the lock that revocations take too; it may be
    /// more than the page, and pages that are in place already are the same.
    /// </summary>
    public TouchOutcome Touch(int region, ulong offset, bool isWrite, Action<GrantedPages> install)
    {
        ArgumentNullException.ThrowIfNull(install);
        if (_connection.Grants is not { } grants || !_faulting[region].Exists(a => offset >= a.Offset && offset - a.Offset < a.Size))
        {
            return TouchOutcome.Trap;
        }

        // An answer that a revocation overtook is asked for again; a server that never stops revoking refuses in effect.
        const int MostFaults = 64;
        for (int i = 0; i < MostFaults; i++)
        {
            int resets = grants.Resets;
            FaultReply reply;
            SafeFileDescriptor? file = null;
            lock (_connection.Gate)
            {
                byte[] request = new byte[FaultRequest.Length];
                new FaultRequest((uint)region, isWrite, offset & ~(ExtensionPage - 1), grants.Generation).Write(request);
                int errno = _connection.Exchange(VfioUserCommand.Fault, request, default, default, out ReadOnlySpan<byte> payload);
                if (errno != 0)
                {
                    return TouchOutcome.Refused;
                }

                using MessageDescriptors descriptors = _connection.TakeDescriptors();
                if (!FaultReply.TryRead(payload, out reply) || reply.Region != (uint)region || descriptors.Count > 1)
                {
                    _connection.Nonsense("answered a fault with something else");
                    return TouchOutcome.Refused;
                }

                file = descriptors.Count == 1 ? descriptors.Take(0) : null;
            }

            if (grants.Take(reply, resets, file, offset, _faulting[region], install) is { } outcome)
            {
                return outcome == TouchOutcome.Refused && reply.Answer != 0 ? Nonsense() : outcome;
            }
        }

        return TouchOutcome.Refused;

        TouchOutcome Nonsense()
        {
            _connection.Nonsense("granted what cannot be");
            return TouchOutcome.Refused;
        }
    }

    /// <summary>
    /// A vCPU got at a page of an area that comes at a touch and the kernel does not let it have (KVM_RUN answers EFAULT): true when something was done about
    /// it, false when there was nothing to do; null while no such area is mapped. Any thread.
    /// </summary>
    public bool? Repair() => _granted?.Repair();

    /// <inheritdoc/>
    public int SetTriggers(int index, int first, ReadOnlySpan<EventFd?> triggers)
    {
        // Descriptors cannot be left out of a message: runs with and runs without one go apart, none with more than the server takes.
        lock (_connection.Gate)
        {
            for (int start = 0; start < triggers.Length;)
            {
                bool tied = triggers[start] is not null;
                int end = start + 1;
                while (end < triggers.Length && triggers[end] is not null == tied && (!tied || end - start < _connection.MostDescriptors))
                {
                    end++;
                }

                int errno = Tie(SetIrqsFlags.Trigger, index, first + start, triggers[start..end]);
                if (errno != 0)
                {
                    return errno;
                }

                start = end;
            }
        }

        return 0;
    }

    /// <inheritdoc/>
    public int DisableIrqs(int index) => Act(SetIrqsFlags.Trigger, index, 0);

    /// <inheritdoc/>
    public int SetIntxMask(bool masked) => Act(masked ? SetIrqsFlags.Mask : SetIrqsFlags.Unmask, VfioIrqIndex.Intx, 1);

    /// <inheritdoc/>
    /// <remarks>
    /// In this protocol the server signals such an eventfd and does not wait for it, so a thread of the connection does, and sends the message.
    /// </remarks>
    public int SetIntxUnmask(EventFd? unmask)
    {
        _connection.Attend(unmask, () => SetIntxMask(false));
        return _connection.Dead;
    }

    /// <inheritdoc/>
    public void SetIdle(bool idle)
    {
    }

    /// <inheritdoc/>
    public int Reset()
    {
        lock (_connection.Gate)
        {
            if (!CanReset)
            {
                return Errno.ENOTTY;
            }

            // The server takes everything back without a word, so nothing of it may be left here when it is asked to.
            _connection.Grants?.TakeAll();
            return _connection.Exchange(VfioUserCommand.DeviceReset, default, default, default, out _, _options.ResetMilliseconds);
        }
    }

    /// <summary>Ends the connection. Blocks that <see cref="Map"/> gave stay mapped until they are disposed.</summary>
    public void Dispose()
    {
        _connection.Dispose();
        _granted?.Dispose();
        CloseFiles();
    }

    private static ApertureException Failure(string sentence) => new(sentence, ApertureException.HostFailure);

    private int ReadPiece(int region, ulong offset, Span<byte> destination)
    {
        RegionAccess access = new(offset, (uint)region, (uint)destination.Length);
        Span<byte> request = stackalloc byte[RegionAccess.Length];
        access.Write(request);
        lock (_connection.Gate)
        {
            int errno = _connection.Exchange(VfioUserCommand.RegionRead, request, default, default, out ReadOnlySpan<byte> reply);
            if (errno != 0)
            {
                return errno;
            }

            if (!RegionAccess.TryRead(reply, out RegionAccess done) || done != access || reply.Length != RegionAccess.Length + destination.Length)
            {
                return _connection.Nonsense("answered a read with something else");
            }

            reply[RegionAccess.Length..].CopyTo(destination);
            return 0;
        }
    }

    private int WritePiece(int region, ulong offset, ReadOnlySpan<byte> source)
    {
        RegionAccess access = new(offset, (uint)region, (uint)source.Length);
        Span<byte> request = stackalloc byte[RegionAccess.Length];
        access.Write(request);
        lock (_connection.Gate)
        {
            if (_posts && region < VfioRegionIndex.Rom)
            {
                return _connection.Post(VfioUserCommand.RegionWrite, request, source);
            }

            int errno = _connection.Exchange(VfioUserCommand.RegionWrite, request, source, default, out ReadOnlySpan<byte> reply);
            return errno != 0 ? errno
                : RegionAccess.TryRead(reply, out RegionAccess done) && done == access ? 0
                : _connection.Nonsense("answered a write with something else");
        }
    }

    private bool IsInside(int region, ulong offset, int length) =>
        (uint)region < (uint)Regions.Count && offset <= Regions[region].Size && (ulong)length <= Regions[region].Size - offset;

    private int Act(SetIrqsFlags action, int index, int count)
    {
        lock (_connection.Gate)
        {
            return SetIrqs(SetIrqsFlags.DataNone | action, index, 0, count, default);
        }
    }

    private int Tie(SetIrqsFlags action, int index, int first, ReadOnlySpan<EventFd?> triggers)
    {
        SafeFileDescriptor[] descriptors = triggers[0] is null ? [] : new SafeFileDescriptor[triggers.Length];
        for (int i = 0; i < descriptors.Length; i++)
        {
            descriptors[i] = triggers[i]!.Descriptor;
        }

        return SetIrqs(SetIrqsFlags.DataEventFd | action, index, first, triggers.Length, descriptors);
    }

    private int SetIrqs(SetIrqsFlags flags, int index, int first, int count, ReadOnlySpan<SafeFileDescriptor> descriptors)
    {
        Span<byte> request = stackalloc byte[SetIrqsRequest.Length];
        new SetIrqsRequest(SetIrqsRequest.Length, flags, (uint)index, (uint)first, (uint)count).Write(request);
        return _connection.Exchange(VfioUserCommand.DeviceSetIrqs, request, default, descriptors, out _);
    }

    private DeviceInfo AskDevice()
    {
        Span<byte> request = stackalloc byte[DeviceInfo.Length];
        new DeviceInfo(DeviceInfo.Length, DeviceFlags.None, 0, 0).Write(request);
        lock (_connection.Gate)
        {
            int errno = _connection.Exchange(VfioUserCommand.DeviceGetInfo, request, default, default, out ReadOnlySpan<byte> reply);
            bool read = DeviceInfo.TryRead(reply, out DeviceInfo info);
            return errno == 0 && read && info.Flags.HasFlag(DeviceFlags.Pci)
                ? info
                : throw Failure(errno != 0
                    ? $"the server of {Name} does not describe its device: {Errno.Name(errno)}"
                    : $"{Name} is not a PCI device; only PCI devices can be assigned");
        }
    }

    private VfioRegion AskRegion(int index, bool exists)
    {
        VfioRegion none = new(index, 0, false, false, [], false);
        if (!exists)
        {
            return none;
        }

        lock (_connection.Gate)
        {
            uint room = RegionInfo.Length;
            byte[] request = new byte[RegionInfo.Length];
            while (true)
            {
                new RegionInfo(room, RegionFlags.None, (uint)index, 0, 0, 0).Write(request);
                int errno = _connection.Exchange(VfioUserCommand.DeviceGetRegionInfo, request, default, default, out ReadOnlySpan<byte> reply);
                using MessageDescriptors descriptors = _connection.TakeDescriptors();
                if (errno != 0 || !RegionInfo.TryRead(reply, out RegionInfo info) || info.Index != (uint)index)
                {
                    return errno is Errno.EINVAL or Errno.ENOTTY || _connection.Dead != 0 ? none : throw Failure(
                        $"the server of {Name} does not describe region {index} of its device: {(errno != 0 ? Errno.Name(errno) : "its answer is none")}");
                }

                if (info.ArgumentSize > room && room == RegionInfo.Length && info.ArgumentSize <= MostRegionInfo)
                {
                    room = info.ArgumentSize;
                    continue;
                }

                return Shape(info, reply, descriptors);
            }
        }
    }

    private VfioRegion Shape(RegionInfo info, ReadOnlySpan<byte> reply, MessageDescriptors descriptors)
    {
        List<VfioArea>? sparse = info.ReadCapabilities(reply, out bool msixMappable);
        List<VfioArea> areas = [];

        // What the capabilities would say is missing where they did not fit.
        bool whole = reply.Length >= info.ArgumentSize;
        if (info.Flags.HasFlag(RegionFlags.Map) && descriptors.Count == 1 && whole && info.Offset <= long.MaxValue - Math.Min(info.Size, long.MaxValue))
        {
            areas = VfioArea.Cut(info.Size, sparse ?? [new VfioArea(0, info.Size)]);
            _files[info.Index] = new RegionFile(descriptors.Take(0), info.Offset);
        }

        bool msix = areas.Count != 0 && msixMappable;
        if (whole && _connection.Grants is not null)
        {
            _faulting[info.Index] = VfioArea.Cut(info.Size, FaultAreas.Read(info, reply));
            if (_granted is { CanMap: true })
            {
                areas = VfioArea.Cut(info.Size, [.. areas, .. _faulting[info.Index]]);
            }
        }

        return new VfioRegion(
            (int)info.Index, info.Size, info.Flags.HasFlag(RegionFlags.Read), info.Flags.HasFlag(RegionFlags.Write), areas, msix);
    }

    private VfioIrq AskIrq(int index, bool exists)
    {
        Span<byte> request = stackalloc byte[IrqInfo.Length];
        new IrqInfo(IrqInfo.Length, IrqFlags.None, (uint)index, 0).Write(request);
        lock (_connection.Gate)
        {
            ReadOnlySpan<byte> reply = default;
            int errno = exists ? _connection.Exchange(VfioUserCommand.DeviceGetIrqInfo, request, default, default, out reply) : Errno.EINVAL;
            return errno != 0 || !IrqInfo.TryRead(reply, out IrqInfo info) || info.Index != (uint)index || !info.Flags.HasFlag(IrqFlags.EventFd)
                ? new VfioIrq(index, 0, false, false, false)
                : new VfioIrq(
                    index,
                    (int)Math.Min(info.Count, MostVectors),
                    info.Flags.HasFlag(IrqFlags.Maskable),
                    info.Flags.HasFlag(IrqFlags.AutoMasked),
                    !info.Flags.HasFlag(IrqFlags.NoResize));
        }
    }

    private void CloseFiles()
    {
        foreach (RegionFile file in _files)
        {
            file.File?.Dispose();
        }
    }

    /// <summary>What a region is mapped from, and where it starts there.</summary>
    private sealed record RegionFile(SafeFileDescriptor? File, ulong Offset)
    {
        public static RegionFile None { get; } = new(null, 0);
    }

    private sealed class Unmapper(HostAddress host, ulong size) : IDisposable
    {
        public void Dispose() => _ = MemoryMap.Unmap(host, size);
    }
}
