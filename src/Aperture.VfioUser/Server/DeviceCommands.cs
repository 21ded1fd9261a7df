using System.Buffers.Binary;
using Aperture.Assignment;
using Aperture.Linux;
using Aperture.Memory;
using Aperture.VfioUser.Protocol;
using Aperture.VfioUser.Transport;

namespace Aperture.VfioUser.Server;

/// <summary>
/// The commands of a client, carried out on a device. Each answers with 0 and leaves its reply's payload here, or with an errno. Nothing that a message says
/// is believed: what does not fit is EINVAL.
/// </summary>
internal sealed class DeviceCommands(IServedDevice device, IrqTable irqs, DmaTable memory, int mostData, bool faults = false)
{
    private const ulong Page = 4096;
    private const int FirstReply = 256;

    // Header and payload of the reply; grows to what was agreed on.
    private byte[] _reply = new byte[FirstReply];
    private int _length;
    private SafeFileDescriptor? _descriptor;

    // The numbers of the memory objects that the client was given.
    private readonly Dictionary<SafeFileDescriptor, ulong> _sources = [];

    // What a device is given of a message: while it runs, other messages may come.
    private byte[] _data = new byte[FirstReply];

    /// <summary>Carries out one command.</summary>
    public int CarryOut(VfioUserCommand command, ReadOnlySpan<byte> payload, MessageDescriptors descriptors)
    {
        _length = 0;
        _descriptor = null;
        return command switch
        {
            VfioUserCommand.RegionRead => ReadRegion(payload),
            VfioUserCommand.RegionWrite => WriteRegion(payload),
            VfioUserCommand.RegionWriteMulti => WriteMany(payload),
            VfioUserCommand.DmaMap => Map(payload, descriptors),
            VfioUserCommand.DmaUnmap => Unmap(payload),
            VfioUserCommand.DeviceGetInfo => Describe(payload),
            VfioUserCommand.DeviceGetRegionInfo => DescribeRegion(payload),
            VfioUserCommand.DeviceGetIrqInfo => DescribeIrq(payload),
            VfioUserCommand.DeviceSetIrqs => SetIrqs(payload, descriptors),
            VfioUserCommand.DeviceReset => !device.CanReset ? Errno.EOPNOTSUPP : payload.IsEmpty ? device.Reset() : Errno.EINVAL,
            VfioUserCommand.DeviceFeature => DeviceFeature.TryRead(payload, out _) ? Errno.ENOTTY : Errno.EINVAL,
            VfioUserCommand.DeviceGetRegionIoFds or VfioUserCommand.MigrationDataRead or VfioUserCommand.MigrationDataWrite => Errno.EOPNOTSUPP,

            VfioUserCommand.Fault when faults => Fault(payload),

            // Not twice; and these the client answers.
            VfioUserCommand.Version or VfioUserCommand.DmaRead or VfioUserCommand.DmaWrite => Errno.EINVAL,
            _ => Errno.ENOSYS,
        };
    }

    /// <summary>Sends the reply to the last command; false when the client does not take it.</summary>
    public bool Send(MessageSocket socket, MessageHeader command, int errno)
    {
        (errno == 0 ? command.Answer(_length) : command.Failure(errno)).Write(_reply);
        ReadOnlySpan<byte> reply = _reply.AsSpan(0, MessageHeader.Length + (errno == 0 ? _length : 0));
        return 0 == (errno == 0 && _descriptor is { } descriptor ? socket.Send(reply, default, [descriptor]) : socket.Send(reply));
    }

    /// <summary>The client is gone: takes its memory back.</summary>
    public void End()
    {
        foreach (AddressRange range in memory.Ranges)
        {
            device.MemoryRemoved(range);
        }

        memory.Clear();
    }

    private Span<byte> Reply(int length)
    {
        if (_reply.Length < MessageHeader.Length + length)
        {
            _reply = new byte[MessageHeader.Length + Math.Max(length, Math.Min(2 * length, RegionAccess.Length + mostData))];
        }

        _length = length;
        return _reply.AsSpan(MessageHeader.Length, length);
    }

    private ReadOnlySpan<byte> Keep(ReadOnlySpan<byte> data)
    {
        if (_data.Length < data.Length)
        {
            _data = new byte[data.Length];
        }

        data.CopyTo(_data);
        return _data.AsSpan(0, data.Length);
    }

    private int ReadRegion(ReadOnlySpan<byte> payload)
    {
        if (!RegionAccess.TryRead(payload, out RegionAccess access) || payload.Length != RegionAccess.Length
            || !IsInside(access, out ServedRegion? region) || !region!.Readable)
        {
            return Errno.EINVAL;
        }

        Span<byte> reply = Reply(RegionAccess.Length + (int)access.Count);
        access.Write(reply);
        return device.Read((int)access.Region, access.Offset, reply[RegionAccess.Length..]);
    }

    private int WriteRegion(ReadOnlySpan<byte> payload)
    {
        if (!RegionAccess.TryRead(payload, out RegionAccess access) || (uint)(payload.Length - RegionAccess.Length) != access.Count
            || !IsInside(access, out ServedRegion? region) || !region!.Writable)
        {
            return Errno.EINVAL;
        }

        int errno = device.Write((int)access.Region, access.Offset, Keep(payload[RegionAccess.Length..]));
        access.Write(Reply(RegionAccess.Length));
        return errno;
    }

    private int WriteMany(ReadOnlySpan<byte> payload)
    {
        if (!RegionWriteMulti.TryReadCount(payload, out int count))
        {
            return Errno.EINVAL;
        }

        ReadOnlySpan<byte> kept = Keep(payload);
        int done = 0;
        while (done < count
            && RegionWriteMulti.TryRead(kept, done, out RegionAccess access, out ReadOnlySpan<byte> data)
            && IsInside(access, out ServedRegion? region) && region!.Writable
            && device.Write((int)access.Region, access.Offset, data) == 0)
        {
            done++;
        }

        BinaryPrimitives.WriteUInt64LittleEndian(Reply(RegionWriteMulti.CountLength), (ulong)done);
        return 0;
    }

    private bool IsInside(RegionAccess access, out ServedRegion? region)
    {
        region = access.Region < (uint)device.Regions.Count ? device.Regions[(int)access.Region] : null;
        return region is not null && access.Count <= (uint)mostData && access.Offset <= region.Size && access.Count <= region.Size - access.Offset;
    }

    private int Map(ReadOnlySpan<byte> payload, MessageDescriptors descriptors)
    {
        if (!DmaMapRequest.TryRead(payload, out DmaMapRequest request) || descriptors.Lost || descriptors.Count > 1
            || request.Size == 0 || (request.Size | request.Address.Value) % Page != 0 || !AddressRange.Fits(request.Address, request.Size)
            || request.Flags == DmaMapFlags.None || (request.Flags & ~(DmaMapFlags.Readable | DmaMapFlags.Writable)) != 0)
        {
            return Errno.EINVAL;
        }

        AddressRange range = new(request.Address, request.Size);
        bool writable = request.Flags.HasFlag(DmaMapFlags.Writable);
        SafeFileDescriptor? file = descriptors.Count == 1 ? descriptors[0] : null;
        PeerMemory? mapped = null;
        int errno = file is null ? 0 : PeerMemory.TryMap(file, request.Offset, request.Size, writable, out mapped);
        errno = errno != 0 ? errno : memory.Add(new DmaMapping(range, request.Flags.HasFlag(DmaMapFlags.Readable), writable, mapped));
        if (errno != 0)
        {
            mapped?.Dispose();
            return errno;
        }

        device.MemoryAdded(range, file, request.Offset, writable, mapped?.HostAddress);
        return 0;
    }

    private int Unmap(ReadOnlySpan<byte> payload)
    {
        if (!DmaUnmapMessage.TryRead(payload, out DmaUnmapMessage request))
        {
            return Errno.EINVAL;
        }

        if (request.Flags == DmaUnmapMessage.All && request.Size == 0 && request.Address == GuestAddress.Zero)
        {
            End();
        }
        else if (request.Flags != 0 || request.Size == 0 || !AddressRange.Fits(request.Address, request.Size))
        {
            return Errno.EINVAL;
        }
        else
        {
            AddressRange range = new(request.Address, request.Size);
            if (!memory.Has(range))
            {
                return Errno.ENOENT;
            }

            // While it is still there: a device whose DMA is under way ends that first.
            device.MemoryRemoved(range);
            _ = memory.Remove(range);
        }

        (request with { ArgumentSize = DmaUnmapMessage.Length }).Write(Reply(DmaUnmapMessage.Length));
        return 0;
    }

    private int Describe(ReadOnlySpan<byte> payload)
    {
        if (!DeviceInfo.TryRead(payload, out _))
        {
            return Errno.EINVAL;
        }

        DeviceFlags flags = DeviceFlags.Pci | (device.CanReset ? DeviceFlags.Reset : DeviceFlags.None);
        new DeviceInfo(DeviceInfo.Length, flags, (uint)device.Regions.Count, (uint)device.Irqs.Count).Write(Reply(DeviceInfo.Length));
        return 0;
    }

    private int DescribeRegion(ReadOnlySpan<byte> payload)
    {
        if (!RegionInfo.TryRead(payload, out RegionInfo request) || request.Index >= (uint)device.Regions.Count)
        {
            return Errno.EINVAL;
        }

        ServedRegion region = device.Regions[(int)request.Index];
        bool mappable = region.Areas.Count != 0;
        bool whole = region.Areas is [{ Offset: 0 } only] && only.Size == region.Size;
        int sparse = mappable && !whole ? RegionInfo.LengthWith(region.Areas.Count) : RegionInfo.Length;
        IReadOnlyList<VfioArea> faulting = faults ? ((IFaultingDevice)device).FaultingAreas((int)request.Index) : [];
        int needed = faulting.Count == 0 ? sparse : sparse + FaultAreas.LengthOf(faulting.Count);
        bool fits = needed <= request.ArgumentSize;
        RegionFlags flags = (region.Readable ? RegionFlags.Read : 0) | (region.Writable ? RegionFlags.Write : 0) | (mappable ? RegionFlags.Map : 0)
            | (needed > RegionInfo.Length ? RegionFlags.Capabilities : 0);

        // Where the capabilities would be is said also when they do not fit: QEMU refuses a reply that has them nowhere.
        uint capabilities = needed > RegionInfo.Length ? (uint)RegionInfo.Length : 0;
        Span<byte> reply = Reply(fits ? needed : RegionInfo.Length);
        new RegionInfo((uint)needed, flags, request.Index, capabilities, region.Size, region.FileOffset).Write(reply);
        if (fits && sparse > RegionInfo.Length)
        {
            RegionInfo.WriteAreas(reply, region.Areas);
        }

        if (fits && faulting.Count != 0)
        {
            FaultAreas.Write(reply, sparse, faulting);
            if (sparse > RegionInfo.Length)
            {
                // The link of the capability before.
                BinaryPrimitives.WriteUInt32LittleEndian(reply[(RegionInfo.Length + 4)..], (uint)sparse);
            }
        }

        _descriptor = mappable ? region.File : null;
        return 0;
    }

    private int Fault(ReadOnlySpan<byte> payload)
    {
        if (!FaultRequest.TryRead(payload, out FaultRequest request) || request.Region >= (uint)device.Regions.Count || request.Offset % Page != 0
            || !((IFaultingDevice)device).FaultingAreas((int)request.Region).Any(a => request.Offset >= a.Offset && request.Offset - a.Offset < a.Size))
        {
            return Errno.EINVAL;
        }

        ServedGrant grant = ((IFaultingDevice)device).Fault((int)request.Region, request.Offset, request.IsWrite);
        FaultReply reply = new(request.Region, (uint)grant.Kind, grant.Offset, grant.Size, 0, grant.FileOffset, 0, grant.Generation);
        if (grant.Kind == FaultAnswerKind.Grant)
        {
            if (!_sources.TryGetValue(grant.File!, out ulong source))
            {
                source = (ulong)_sources.Count + 1;
                _sources.Add(grant.File!, source);
                _descriptor = grant.File;
            }

            reply = reply with { Source = source, Protection = grant.IsWritable ? 3u : 1 };
        }

        reply.Write(Reply(FaultReply.Length));
        return 0;
    }

    private int DescribeIrq(ReadOnlySpan<byte> payload)
    {
        if (!IrqInfo.TryRead(payload, out IrqInfo request) || request.Index >= (uint)device.Irqs.Count)
        {
            return Errno.EINVAL;
        }

        VfioIrq irq = device.Irqs[(int)request.Index];
        IrqFlags flags = IrqFlags.EventFd | (irq.Maskable ? IrqFlags.Maskable : 0) | (irq.AutoMasked ? IrqFlags.AutoMasked : 0)
            | (irq.CanGrow ? 0 : IrqFlags.NoResize);
        new IrqInfo(IrqInfo.Length, flags, request.Index, (uint)irq.Count).Write(Reply(IrqInfo.Length));
        return 0;
    }

    private int SetIrqs(ReadOnlySpan<byte> payload, MessageDescriptors descriptors) => SetIrqsRequest.TryRead(payload, out SetIrqsRequest request)
        ? irqs.Set(request, payload[SetIrqsRequest.Length..], descriptors)
        : Errno.EINVAL;
}
