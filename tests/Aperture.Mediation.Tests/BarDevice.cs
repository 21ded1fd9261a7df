using Aperture.Assignment;
using Aperture.Linux;
using Aperture.Memory;

namespace Aperture.Mediation.Tests;

/// <summary>
/// A function of the host with memory in BAR 2, which is a file behind another page, as the regions of one are. It can be lost, and it never lets its memory
/// be touched by this process but through itself.
/// </summary>
internal sealed class BarDevice : IVfioDevice, IRegionFiles
{
    public const ulong Size = 16 * GrantBook.Page;

    public byte[] Config { get; } = new byte[256];

    public RamBlock Memory { get; } = RamBlock.Create("bar-device", GrantBook.Page + Size, shared: true);

    /// <summary>What every access answers once the device is lost.</summary>
    public int Lost { get; set; }

    /// <summary>Writes to the BAR fail, as when the device goes between two accesses.</summary>
    public int WriteErrno { get; set; }

    public bool CanBeShared { get; init; } = true;

    public int Disposals { get; private set; }

    public int OwnerDisposals { get; private set; }

    public HostFunction Function => new(this, null!, new Owner(this));

    public string Name => "0000:01:00.0";

    public bool CanReset => true;

    public IReadOnlyList<VfioRegion> Regions { get; } =
    [
        .. Enumerable.Range(0, 9).Select(static i => new VfioRegion(i, i switch { 2 => Size, 7 => 256, _ => 0 }, i is 2 or 7, i is 2 or 7, [], false)),
    ];

    public IReadOnlyList<VfioIrq> Irqs { get; } = [];

    public bool IsResetAlong => false;

    /// <summary>What the guest of nobody sees in the BAR.</summary>
    public uint this[ulong offset] => Memory.Read<uint>(GrantBook.Page + offset);

    public int Read(int region, ulong offset, Span<byte> destination)
    {
        destination.Fill(0xFF);
        if (Lost == 0 && region == 2)
        {
            Memory.Read(GrantBook.Page + offset, destination);
        }
        else if (Lost == 0)
        {
            Config.AsSpan((int)offset, destination.Length).CopyTo(destination);
        }

        return Lost;
    }

    public int Write(int region, ulong offset, ReadOnlySpan<byte> source)
    {
        int errno = Lost != 0 ? Lost : region == 2 ? WriteErrno : 0;
        if (errno == 0 && region == 2)
        {
            Memory.Write(GrantBook.Page + offset, source);
        }
        else if (errno == 0)
        {
            source.CopyTo(Config.AsSpan((int)offset));
        }

        return errno;
    }

    public SafeFileDescriptor? Share(int region, out ulong offset)
    {
        offset = GrantBook.Page;
        return CanBeShared && region == 2 ? Memory.File : null;
    }

    public RamBlock Map(int region, VfioArea area) => throw new InvalidOperationException("nothing of it is mapped here");

    public int SetTriggers(int index, int first, ReadOnlySpan<EventFd?> triggers) => Errno.EINVAL;

    public int DisableIrqs(int index) => 0;

    public int SetIntxMask(bool masked) => 0;

    public int SetIntxUnmask(EventFd? unmask) => 0;

    public void SetIdle(bool idle)
    {
    }

    public int Reset() => 0;

    public void Dispose()
    {
        Disposals++;
        Assert.Equal(0, OwnerDisposals);
        Memory.Dispose();
    }

    private sealed class Owner(BarDevice device) : IDisposable
    {
        public void Dispose() => device.OwnerDisposals++;
    }
}
