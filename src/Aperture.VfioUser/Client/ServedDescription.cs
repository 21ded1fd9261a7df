using Aperture.Assignment;
using Aperture.Linux;
using Aperture.VfioUser.Protocol;
using Aperture.VfioUser.Transport;

namespace Aperture.VfioUser.Client;

/// <summary>What a region is mapped from, and where it starts there.</summary>
/// <param name="File">The file; null when nothing of the region can be mapped.</param>
/// <param name="Offset">Bytes.</param>
internal sealed record RegionFile(SafeFileDescriptor? File, ulong Offset)
{
    public static RegionFile None { get; } = new(null, 0);
}

/// <summary>What a server says of its device, asked for once over a connection. Owns the files that came with it.</summary>
internal sealed class ServedDescription : IDisposable
{
    // More than any device has; a reply that claims more is cut.
    private const uint MostRegions = 64;
    private const uint MostIrqs = 16;
    private const uint MostVectors = 4096;
    private const uint MostRegionInfo = 64 << 10;

    private readonly bool _mapsFaulting;

    /// <summary>Asks for it.</summary>
    /// <param name="connection">Who is asked.</param>
    /// <param name="name">What messages call the device.</param>
    /// <param name="mapsFaulting">Areas where the first touch of a page is asked for are among those that can be mapped.</param>
    /// <exception cref="ApertureException">The server does not say, or it is no PCI device.</exception>
    public ServedDescription(ServerConnection connection, string name, bool mapsFaulting)
    {
        _mapsFaulting = mapsFaulting;
        DeviceInfo info = AskDevice(connection, name);
        CanReset = info.Flags.HasFlag(DeviceFlags.Reset);
        Files = new RegionFile[Math.Max(Math.Min(info.Regions, MostRegions), (uint)VfioRegionIndex.Vga + 1)];
        Array.Fill(Files, RegionFile.None);
        Faulting = [.. Files.Select(static _ => new List<VfioArea>())];
        if (connection.Grants is { } grants)
        {
            grants.Regions = Files.Length;
        }

        try
        {
            Regions = [.. Enumerable.Range(0, Files.Length).Select(index => AskRegion(connection, name, index, index < info.Regions))];
            int irqs = (int)Math.Max(Math.Min(info.Irqs, MostIrqs), (uint)VfioIrqIndex.Request + 1);
            Irqs = [.. Enumerable.Range(0, irqs).Select(index => AskIrq(connection, index, index < info.Irqs))];
            if (connection.Dead is var errno and not 0)
            {
                throw Failure($"the server of {name} does not describe its device: {Errno.Name(errno)}");
            }
        }
        catch
        {
            Dispose();
            throw;
        }
    }

    /// <summary>The device has a reset.</summary>
    public bool CanReset { get; }

    /// <summary>The regions by index.</summary>
    public IReadOnlyList<VfioRegion> Regions { get; }

    /// <summary>The interrupt kinds by index.</summary>
    public IReadOnlyList<VfioIrq> Irqs { get; }

    /// <summary>What each region is mapped from.</summary>
    public RegionFile[] Files { get; }

    /// <summary>Where the first touch of a page is asked for, by region.</summary>
    public List<VfioArea>[] Faulting { get; }

    /// <summary>A region's file has all of an area, as far as can be known.</summary>
    public bool Holds(int region, VfioArea area)
    {
        (SafeFileDescriptor? file, ulong start) = Files[region];
        ulong offset = start + area.Offset;
        return file is null || MemoryFile.TryLength(file, out ulong length) != 0 || (offset <= length && area.Size <= length - offset);
    }

    /// <summary>How <paramref name="other"/> differs from this as a guest would notice; null when it does not.</summary>
    public string? Difference(ServedDescription other)
    {
        for (int i = 0; i < Math.Max(Regions.Count, other.Regions.Count); i++)
        {
            (VfioRegion? mine, VfioRegion? its) = (Regions.ElementAtOrDefault(i), other.Regions.ElementAtOrDefault(i));
            bool same = mine is not null && its is not null && mine with { Areas = [] } == its with { Areas = [] } && mine.Areas.SequenceEqual(its.Areas)
                && Faulting[i].SequenceEqual(other.Faulting[i]);
            if (!same)
            {
                return $"region {i} of {ByteSize.Format(its?.Size ?? 0)} instead of {ByteSize.Format(mine?.Size ?? 0)}, or other areas to map in it";
            }
        }

        return Irqs.SequenceEqual(other.Irqs) && CanReset == other.CanReset ? null : "other interrupts, or another way to be reset";
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        foreach (RegionFile file in Files)
        {
            file.File?.Dispose();
        }
    }

    private static ApertureException Failure(string sentence) => new(sentence, ApertureException.HostFailure);

    private static DeviceInfo AskDevice(ServerConnection connection, string name)
    {
        Span<byte> request = stackalloc byte[DeviceInfo.Length];
        new DeviceInfo(DeviceInfo.Length, DeviceFlags.None, 0, 0).Write(request);
        lock (connection.Gate)
        {
            int errno = connection.Exchange(VfioUserCommand.DeviceGetInfo, request, default, default, out ReadOnlySpan<byte> reply);
            bool read = DeviceInfo.TryRead(reply, out DeviceInfo info);
            return errno == 0 && read && info.Flags.HasFlag(DeviceFlags.Pci)
                ? info
                : throw Failure(errno != 0
                    ? $"the server of {name} does not describe its device: {Errno.Name(errno)}"
                    : $"{name} is not a PCI device; only PCI devices can be assigned");
        }
    }

    private VfioRegion AskRegion(ServerConnection connection, string name, int index, bool exists)
    {
        VfioRegion none = new(index, 0, false, false, [], false);
        if (!exists)
        {
            return none;
        }

        lock (connection.Gate)
        {
            uint room = RegionInfo.Length;
            byte[] request = new byte[RegionInfo.Length];
            while (true)
            {
                new RegionInfo(room, RegionFlags.None, (uint)index, 0, 0, 0).Write(request);
                int errno = connection.Exchange(VfioUserCommand.DeviceGetRegionInfo, request, default, default, out ReadOnlySpan<byte> reply);
                using MessageDescriptors descriptors = connection.TakeDescriptors();
                if (errno != 0 || !RegionInfo.TryRead(reply, out RegionInfo info) || info.Index != (uint)index)
                {
                    return errno is Errno.EINVAL or Errno.ENOTTY || connection.Dead != 0 ? none : throw Failure(
                        $"the server of {name} does not describe region {index} of its device: {(errno != 0 ? Errno.Name(errno) : "its answer is none")}");
                }

                if (info.ArgumentSize > room && room == RegionInfo.Length && info.ArgumentSize <= MostRegionInfo)
                {
                    room = info.ArgumentSize;
                    continue;
                }

                return Shape(connection, info, reply, descriptors);
            }
        }
    }

    private VfioRegion Shape(ServerConnection connection, RegionInfo info, ReadOnlySpan<byte> reply, MessageDescriptors descriptors)
    {
        List<VfioArea>? sparse = info.ReadCapabilities(reply, out bool msixMappable);
        List<VfioArea> areas = [];

        // What the capabilities would say is missing where they did not fit.
        bool whole = reply.Length >= info.ArgumentSize;
        if (info.Flags.HasFlag(RegionFlags.Map) && descriptors.Count == 1 && whole && info.Offset <= long.MaxValue - Math.Min(info.Size, long.MaxValue))
        {
            areas = VfioArea.Cut(info.Size, sparse ?? [new VfioArea(0, info.Size)]);
            Files[info.Index] = new RegionFile(descriptors.Take(0), info.Offset);
        }

        bool msix = areas.Count != 0 && msixMappable;
        if (whole && connection.Grants is not null)
        {
            Faulting[info.Index] = VfioArea.Cut(info.Size, FaultAreas.Read(info, reply));
            if (_mapsFaulting)
            {
                areas = VfioArea.Cut(info.Size, [.. areas, .. Faulting[info.Index]]);
            }
        }

        return new VfioRegion(
            (int)info.Index, info.Size, info.Flags.HasFlag(RegionFlags.Read), info.Flags.HasFlag(RegionFlags.Write), areas, msix);
    }

    private static VfioIrq AskIrq(ServerConnection connection, int index, bool exists)
    {
        Span<byte> request = stackalloc byte[IrqInfo.Length];
        new IrqInfo(IrqInfo.Length, IrqFlags.None, (uint)index, 0).Write(request);
        lock (connection.Gate)
        {
            ReadOnlySpan<byte> reply = default;
            int errno = exists ? connection.Exchange(VfioUserCommand.DeviceGetIrqInfo, request, default, default, out reply) : Errno.EINVAL;
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
}
