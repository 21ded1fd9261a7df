using Aperture.Assignment;
using Aperture.Linux;
using Aperture.Memory;

namespace Aperture.TestKit.Parts.Assigned;

/// <summary>
/// A device in memory: registers that hold what is written, triggers that are signalled on demand, everything recorded in the order it happened, and
/// failures on request.
/// </summary>
public sealed class FakeDevice : IVfioDevice
{
    private readonly Dictionary<(int Index, int Vector), EventFd> _triggers = [];
    private Action? _lost;
    private ulong _nextMapping = 0x7000_0000_0000;

    public FakeDevice(byte[] config)
    {
        Config = config;
        Regions.Add(new VfioRegion(VfioRegionIndex.Config, (ulong)config.Length, true, true, [], false));
    }

    public byte[] Config { get; }

    public Dictionary<int, byte[]> Contents { get; } = [];

    public List<VfioRegion> Regions { get; } = [];

    public List<VfioIrq> Irqs { get; } = [];

    /// <summary>What happened, in words, shared with the other doubles of a test.</summary>
    public List<string> Log { get; set; } = [];

    public List<(ulong Offset, byte[] Bytes)> ConfigWrites { get; } = [];

    public bool CanReset { get; set; } = true;

    public int ReadErrno { get; set; }

    public int ResetErrno { get; set; }

    public int MapErrno { get; set; }

    /// <summary>Called within every read of a register, with the region and the offset.</summary>
    public Action<int, ulong>? OnRead { get; set; }

    /// <summary>Called within every write of a register, with the region and the offset, before it is recorded.</summary>
    public Action<int, ulong>? OnWrite { get; set; }

    public Func<int, int, int, int> TriggerErrno { get; set; } = (_, _, _) => 0;

    public int UnmaskErrno { get; set; }

    public EventFd? Unmask { get; private set; }

    public int IntxUnmasked { get; private set; }

    public bool IsDisposed { get; private set; }

    public int Disposals { get; private set; }

    public FakeGuest? Guest { get; set; }

    public string Name => "0000:01:00.0";

    IReadOnlyList<VfioRegion> IVfioDevice.Regions => Regions;

    IReadOnlyList<VfioIrq> IVfioDevice.Irqs => Irqs;

    public static FakeDevice With(byte[] config, params VfioIrq[] irqs)
    {
        FakeDevice device = new(config);
        device.Irqs.AddRange(irqs);
        return device;
    }

    public FakeDevice AddRegion(int index, ulong size, bool mappable = true, bool msixMappable = true, params VfioArea[] areas)
    {
        VfioArea[] all = areas.Length != 0 ? areas : mappable ? [new VfioArea(0, size)] : [];
        Regions.Add(new VfioRegion(index, size, true, true, all, msixMappable));
        Contents[index] = new byte[Math.Min(size, 1 << 20)];
        return this;
    }

    public int Read(int region, ulong offset, Span<byte> destination)
    {
        destination.Fill(0xFF);
        OnRead?.Invoke(region, offset);
        byte[] source = region == VfioRegionIndex.Config ? Config : Contents[region];
        if (ReadErrno != 0 || offset + (ulong)destination.Length > (ulong)source.Length)
        {
            return ReadErrno != 0 ? ReadErrno : Errno.EINVAL;
        }

        source.AsSpan((int)offset, destination.Length).CopyTo(destination);
        return 0;
    }

    public int Write(int region, ulong offset, ReadOnlySpan<byte> source)
    {
        if (ReadErrno != 0)
        {
            return ReadErrno;
        }

        OnWrite?.Invoke(region, offset);
        if (region == VfioRegionIndex.Config)
        {
            ConfigWrites.Add((offset, source.ToArray()));
        }

        Log.Add($"write {region} 0x{offset:x} {Convert.ToHexString(source)}");
        source.CopyTo((region == VfioRegionIndex.Config ? Config : Contents[region]).AsSpan((int)offset));
        return 0;
    }

    public RamBlock Map(int region, VfioArea area)
    {
        if (MapErrno != 0)
        {
            throw new ApertureException($"the kernel refused: {Errno.Name(MapErrno)}", ApertureException.HostFailure);
        }

        Log.Add($"map {region} 0x{area.Offset:x}");
        RamBlock block = RamBlock.Foreign($"region {region}", new HostAddress(_nextMapping), area.Size, new Release(this, region));
        _nextMapping += area.Size;
        return block;
    }

    public int SetTriggers(int index, int first, ReadOnlySpan<EventFd?> triggers)
    {
        int errno = TriggerErrno(index, first, triggers.Length);
        Log.Add($"triggers {index} {first}+{triggers.Length}{(errno == 0 ? string.Empty : " refused")}");
        for (int i = 0; i < triggers.Length && errno == 0; i++)
        {
            if (triggers[i] is { } trigger)
            {
                _triggers[(index, first + i)] = trigger;
            }
            else
            {
                _triggers.Remove((index, first + i));
            }
        }

        return errno;
    }

    public int DisableIrqs(int index)
    {
        Log.Add($"disable {index}");
        foreach ((int Index, int Vector) key in _triggers.Keys.Where(k => k.Index == index).ToList())
        {
            _triggers.Remove(key);
        }

        return 0;
    }

    public int SetIntxMask(bool masked)
    {
        IntxUnmasked += masked ? 0 : 1;
        return 0;
    }

    public int SetIntxUnmask(EventFd? unmask)
    {
        Unmask = UnmaskErrno == 0 ? unmask : null;
        return UnmaskErrno;
    }

    /// <summary>What <see cref="SetIdle"/> said last.</summary>
    public bool IsIdle { get; private set; } = true;

    public void SetIdle(bool idle) => IsIdle = idle;

    public bool IsResetAlong { get; set; }

    /// <summary>Who serves it may come back.</summary>
    public bool MayReturn { get; set; }

    public bool IsAway { get; private set; }

    /// <summary>Who serves it is back: the next reset finds it.</summary>
    public bool IsBack { get; set; }

    public bool WhenLost(Action lost)
    {
        _lost = MayReturn ? lost : null;
        return MayReturn;
    }

    /// <summary>Who serves it is gone.</summary>
    public void GoAway()
    {
        IsBack = false;
        IsAway = true;
        ReadErrno = Errno.EIO;
        _lost?.Invoke();
    }

    /// <summary>Called within every reset, which it may hold up.</summary>
    public Action? OnReset { get; set; }

    public int Reset()
    {
        Log.Add("reset");
        OnReset?.Invoke();
        if (IsAway && IsBack)
        {
            (IsAway, ReadErrno) = (false, 0);
        }
        return ResetErrno;
    }

    public void Dispose()
    {
        IsDisposed = true;
        Disposals++;
        Log.Add("close");
    }

    public EventFd? TriggerOf(int index, int vector) => _triggers.GetValueOrDefault((index, vector));

    public IEnumerable<int> Enabled(int index) => _triggers.Keys.Where(k => k.Index == index).Select(k => k.Vector).Order();

    /// <summary>The device interrupts; false when the host has no trigger for the vector, and it does not.</summary>
    public bool Raise(int index, int vector = 0)
    {
        if (TriggerOf(index, vector) is not { } trigger)
        {
            return false;
        }

        trigger.Signal();
        Guest?.Signalled(trigger);
        return true;
    }

    private sealed class Release(FakeDevice device, int region) : IDisposable
    {
        public void Dispose() => device.Log.Add($"unmap {region}");
    }
}
