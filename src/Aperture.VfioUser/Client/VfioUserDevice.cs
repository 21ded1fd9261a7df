using Aperture.Assignment;
using Aperture.Linux;
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
    private const ulong ExtensionPage = 4096;

    private readonly ClientOptions _options;
    private readonly VfioUserIommu _iommu;
    private readonly bool _posts;

    // Whose pages come at a touch; null when nobody's do, or another has them.
    private readonly GrantedAreas? _granted;

    // How the server is found again; null when it is not.
    private readonly Reconnection? _again;

    // What is mapped of the device, under the connection's gate.
    private readonly List<MappedArea> _mapped = [];

    // Another when the server came back; replaced with the gate held, which all of a device's connections share.
    private volatile ServerConnection _connection;
    private volatile ServedDescription _description;

    private VfioUserDevice(ServerConnection connection, string name, ClientOptions options, ISharedMemory? shared, Reconnection? again)
    {
        (_connection, Name, _options, _again) = (connection, name, options, again);
        _granted = options.Grants as GrantedAreas;
        _description = new ServedDescription(connection, name, _granted is { CanMap: true });
        _posts = options.PostWrites && Regions.All(static r => r.Areas.Count == 0);
        _iommu = new VfioUserIommu(() => _connection, name, shared);
        try
        {
            again?.Remember(this);
        }
        catch
        {
            _description.Dispose();
            throw;
        }

        _granted?.Begin(this, _description.Faulting);
    }

    /// <inheritdoc/>
    public string Name { get; }

    /// <inheritdoc/>
    public bool CanReset => _description.CanReset;

    /// <summary>No bus is shared with another device.</summary>
    public bool IsResetAlong => false;

    /// <inheritdoc/>
    public IReadOnlyList<VfioRegion> Regions => _description.Regions;

    /// <inheritdoc/>
    public IReadOnlyList<VfioIrq> Irqs => _description.Irqs;

    /// <summary>What of the guest's memory the server reaches. Owned by the device.</summary>
    public IIommuMap Iommu => _iommu;

    /// <summary>Held around each command.</summary>
    internal Lock Gate => _connection.Gate;

    /// <summary>True while the server is dead; for ever, unless <see cref="ClientOptions.Reconnects"/>.</summary>
    public bool IsDead => _connection.Dead != 0;

    /// <inheritdoc/>
    public bool IsAway => _again is not null && IsDead;

    /// <inheritdoc/>
    public bool WhenLost(Action lost)
    {
        if (_again is null)
        {
            return false;
        }

        _again.Lost = lost;
        return true;
    }

    /// <summary>Connects to the server that listens at <paramref name="path"/>.</summary>
    /// <param name="path">Its socket.</param>
    /// <param name="events">Told when the server dies, and when it is back.</param>
    /// <param name="memory">The guest's memory, for a server that reaches it by messages. Only RAM: it must not lead to a device.</param>
    /// <param name="shared">Where the guest's memory can be mapped from; null: the server reaches it by messages only.</param>
    /// <param name="options">How the server is treated.</param>
    /// <exception cref="ApertureException">Nobody listens there, or it is no vfio-user server of a PCI device.</exception>
    public static VfioUserDevice Connect(
        string path, IEventSink events, IDma? memory = null, ISharedMemory? shared = null, ClientOptions? options = null)
    {
        SafeFileDescriptor socket = Reconnection.Connect(path);
        options = Complete(options, path, events);
        Reconnection? again = options.Reconnects ? new Reconnection(path, events, memory, options) : null;
        return Open(socket, path, events, memory, shared, options, again);
    }

    /// <summary>
    /// The same over a connected socket, which it takes over; its server is not found again. <paramref name="name"/> is what messages call the device.
    /// </summary>
    /// <exception cref="ApertureException">It is no vfio-user server of a PCI device.</exception>
    public static VfioUserDevice Open(
        SafeFileDescriptor socket, string name, IEventSink events, IDma? memory = null, ISharedMemory? shared = null, ClientOptions? options = null) =>
        Open(socket, name, events, memory, shared, Complete(options, name, events), null);

    // Whoever has the pages has them over all connections.
    private static ClientOptions Complete(ClientOptions? options, string name, IEventSink events)
    {
        options ??= new ClientOptions();
        return options is { MapGrants: true, Grants: null } ? options with { Grants = new GrantedAreas(name, events) } : options;
    }

    private static VfioUserDevice Open(
        SafeFileDescriptor socket, string name, IEventSink events, IDma? memory, ISharedMemory? shared, ClientOptions options, Reconnection? again)
    {
        ArgumentNullException.ThrowIfNull(socket);
        ArgumentNullException.ThrowIfNull(events);
        ServerConnection? connection = null;
        try
        {
            connection = ServerConnection.Open(socket, options, name, events, memory, new Lock(), again is null ? null : again.Died);
            return new VfioUserDevice(connection, name, options, shared, again);
        }
        catch
        {
            connection?.Dispose();
            (options.Grants as GrantedAreas)?.Dispose();
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
            int errno = IsInside(region, offset, destination.Length) ? _connection.Read(region, offset, destination[..count]) : Errno.EINVAL;
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
        ServedDescription description = _description;
        if (_granted is { CanMap: true } && description.Faulting[region].Exists(a => area.Offset >= a.Offset && area.Offset - a.Offset < a.Size
            && area.Size <= a.Size - (area.Offset - a.Offset)))
        {
            return _granted.Make(region, area, known.Size);
        }

        if (description.Files[region].File is not { } file || !known.Areas.Any(a => area.Offset >= a.Offset && area.Offset - a.Offset < a.Size
            && area.Size <= a.Size - (area.Offset - a.Offset)))
        {
            throw new ArgumentOutOfRangeException(nameof(area), $"{area} is not inside what may be mapped of region {region} of {Name}");
        }

        // Memory that the file has not would end the guest at its first touch.
        ulong offset = description.Files[region].Offset + area.Offset;
        int errno = description.Holds(region, area) ? 0 : Errno.EINVAL;
        HostAddress host = default;
        errno = errno != 0
            ? errno
            : ForeignMapping.TryMap(file, offset, area.Size, area.Offset, known.Size, known.Readable, known.Writable, out host);
        if (errno != 0)
        {
            throw new ApertureException(
                $"{ByteSize.Format(area.Size)} of {Name} region {region} cannot be mapped: {MemoryMap.Describe(errno)}", ApertureException.HostFailure);
        }

        MappedArea mapped = new(this, region, area, host);
        lock (_connection.Gate)
        {
            _mapped.Add(mapped);
        }

        return RamBlock.Foreign($"{Name} region {region}", host, area.Size, mapped);
    }

    /// <summary>
    /// Puts all-ones where a server has cut the file of memory that is mapped, and tells where: a guest that touches it could not go on. Any thread.
    /// </summary>
    public IReadOnlyList<MissingMemory> ReplaceMissing()
    {
        lock (_connection.Gate)
        {
            return [.. _mapped.SelectMany(area => area.ReplaceMissing())];
        }
    }

    /// <summary>The areas of a region where the first touch of a page is asked for (<see cref="Touch"/>); empty for a server without the extension.</summary>
    public IReadOnlyList<VfioArea> FaultingAreas(int region) => _description.Faulting[region];

    /// <summary>
    /// Asks for a page of a faulting area. What is granted is put in place by <paramref name="install"/>, under the lock that revocations take too; it may be
    /// more than the page, and pages that are in place already are the same.
    /// </summary>
    public TouchOutcome Touch(int region, ulong offset, bool isWrite, Action<GrantedPages> install)
    {
        ArgumentNullException.ThrowIfNull(install);
        List<VfioArea> areas = _description.Faulting[region];
        if (!areas.Exists(a => offset >= a.Offset && offset - a.Offset < a.Size))
        {
            return TouchOutcome.Trap;
        }

        // An answer that a revocation overtook is asked for again; a server that never stops revoking refuses in effect.
        const int MostFaults = 64;
        for (int i = 0; i < MostFaults; i++)
        {
            // One for the whole exchange: the server may come back meanwhile, and what the one before it granted is nothing then.
            ServerConnection connection = _connection;
            if (connection.Grants is not { } grants)
            {
                return TouchOutcome.Trap;
            }

            int resets = grants.Resets;
            FaultReply reply;
            SafeFileDescriptor? file = null;
            lock (connection.Gate)
            {
                byte[] request = new byte[FaultRequest.Length];
                new FaultRequest((uint)region, isWrite, offset & ~(ExtensionPage - 1), grants.Generation).Write(request);
                int errno = connection.Exchange(VfioUserCommand.Fault, request, default, default, out ReadOnlySpan<byte> payload);
                if (errno != 0)
                {
                    return TouchOutcome.Refused;
                }

                using MessageDescriptors descriptors = connection.TakeDescriptors();
                if (!FaultReply.TryRead(payload, out reply) || reply.Region != (uint)region || descriptors.Count > 1)
                {
                    connection.Nonsense("answered a fault with something else");
                    return TouchOutcome.Refused;
                }

                file = descriptors.Count == 1 ? descriptors.Take(0) : null;
            }

            if (grants.Take(reply, resets, file, offset, areas, install) is { } outcome)
            {
                return outcome == TouchOutcome.Refused && reply.Answer != 0 ? Nonsense(connection) : outcome;
            }
        }

        return TouchOutcome.Refused;

        static TouchOutcome Nonsense(ServerConnection connection)
        {
            connection.Nonsense("granted what cannot be");
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
        if (IsAway && Return() is not 0 and int errno)
        {
            return errno;
        }

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

    /// <summary>A server that is gone, or goes, is not looked for any more: the device is about to be given back. Any thread.</summary>
    public void EndSearch() => _again?.End();

    /// <summary>
    /// The server does not do what it has to: it is dead from now on. <paramref name="what"/> follows its name in the notice. It does not come back before
    /// <paramref name="meanwhile"/> has returned.
    /// </summary>
    public void GiveUp(string what, Action meanwhile)
    {
        ArgumentNullException.ThrowIfNull(meanwhile);
        lock (_connection.Gate)
        {
            _connection.Nonsense(what);
            meanwhile();
        }
    }

    /// <summary>Ends the connection. Blocks that <see cref="Map"/> gave stay mapped until they are disposed.</summary>
    public void Dispose()
    {
        _connection.Dispose();
        _granted?.Dispose();
        _description.Dispose();
    }

    // The server is looked for. What it takes over is what it had: the guest's memory, and the places where its own is mapped, which are out of the guest.
    private int Return()
    {
        ServerConnection old = _connection;
        ServedDescription before = _description;
        int errno = _again!.Find(this, before, out ServerConnection? next, out ServedDescription? now);
        if (errno != 0)
        {
            return errno;
        }

        lock (old.Gate)
        {
            // The search may have ended while the server was being asked.
            errno = _again.HasEnded ? Errno.ENODEV : 0;
            foreach (MappedArea area in _mapped)
            {
                errno = errno != 0 ? errno : area.MoveTo(now!);
            }

            errno = errno != 0 ? errno : _iommu.GiveAll(next!);
            if (errno == 0)
            {
                (_connection, _description) = (next!, now!);
                next!.IsQuiet = false;
            }
        }

        // Not with the gate, which the thread of a connection takes.
        (errno == 0 ? old : next!).Dispose();
        (errno == 0 ? before : now!).Dispose();
        if (errno == 0 && !IsDead)
        {
            _again.Found();
        }

        return errno;
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

    private void Forget(MappedArea area)
    {
        lock (_connection.Gate)
        {
            _mapped.Remove(area);
        }
    }

    /// <summary>A part of a region, and where it is in this process.</summary>
    private sealed class MappedArea(VfioUserDevice device, int region, VfioArea area, HostAddress host) : IDisposable
    {
        /// <summary>Maps the same part of another connection's region there; 0, or an errno.</summary>
        public int MoveTo(ServedDescription description)
        {
            VfioRegion known = description.Regions[region];
            return description.Files[region].File is { } file && description.Holds(region, area)
                ? MemoryMap.MapOver(host, file, description.Files[region].Offset + area.Offset, area.Size, known.Readable, known.Writable)
                : Errno.EINVAL;
        }

        /// <summary>See the device's.</summary>
        public IReadOnlyList<MissingMemory> ReplaceMissing() =>
            device.Regions[region].Readable ? MissingPages.Replace($"{device.Name} region {region}", host, area.Offset, area.Size) : [];

        public void Dispose()
        {
            device.Forget(this);
            _ = MemoryMap.Unmap(host, area.Size);
        }
    }
}
