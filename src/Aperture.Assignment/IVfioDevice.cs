using Aperture.Linux;
using Aperture.Memory;

namespace Aperture.Assignment;

/// <summary>
/// An opened device in VFIO's terms (linux/vfio.h, which vfio-user shares): its regions, interrupts and reset, whoever serves it. The seam between what the
/// guest sees of the device and the kernel, another process, or a device that wraps another. A failing access answers with an errno, because a device may
/// disappear at any time.
/// </summary>
public interface IVfioDevice : IDisposable
{
    /// <summary>What messages call it: its address, as in <c>0000:01:00.0</c>.</summary>
    string Name { get; }

    /// <summary>True when VFIO_DEVICE_RESET is supported.</summary>
    bool CanReset { get; }

    /// <summary>The regions by index (<see cref="VfioRegionIndex"/>), those of size 0 included.</summary>
    IReadOnlyList<VfioRegion> Regions { get; }

    /// <summary>The interrupt kinds by index (<see cref="VfioIrqIndex"/>), those without a vector included.</summary>
    IReadOnlyList<VfioIrq> Irqs { get; }

    /// <summary>Reads from a region; 0, or an errno. On an error the destination holds all-ones.</summary>
    int Read(int region, ulong offset, Span<byte> destination);

    /// <summary>Writes to a region; 0, or an errno.</summary>
    int Write(int region, ulong offset, ReadOnlySpan<byte> source);

    /// <summary>
    /// Maps one of a region's areas into this process, aligned so that the host can use huge pages. The memory is for slots and DMA mappings only: this
    /// process must never touch it, because the kernel revokes it while the device does not decode.
    /// </summary>
    /// <exception cref="ApertureException">The kernel refused.</exception>
    RamBlock Map(int region, VfioArea area);

    /// <summary>
    /// Ties vectors from <paramref name="first"/> on to <paramref name="triggers"/>; a null entry leaves a vector enabled without one. 0, or an errno.
    /// The first call for an index with vectors enables it in the device.
    /// </summary>
    int SetTriggers(int index, int first, ReadOnlySpan<EventFd?> triggers);

    /// <summary>Disables an interrupt kind and frees its vectors; 0, or an errno.</summary>
    int DisableIrqs(int index);

    /// <summary>Masks or unmasks INTx in the host; 0, or an errno.</summary>
    int SetIntxMask(bool masked);

    /// <summary>INTx is unmasked in the kernel whenever <paramref name="unmask"/> is signalled; null undoes that. 0, or an errno.</summary>
    int SetIntxUnmask(EventFd? unmask);

    /// <summary>
    /// Says whether the guest may use the device, which is idle when it is opened. An idle device may be reset together with others of its bus or slot, whose
    /// own reset the host lacks: it is told before any of them is reset, and its mappings are out of the guest by then.
    /// </summary>
    void SetIdle(bool idle);

    /// <summary>
    /// True while the reset of another device of its bus or slot takes this one along: it does not answer, and an access would wait. Any thread.
    /// </summary>
    bool IsResetAlong { get; }

    /// <summary>
    /// VFIO_DEVICE_RESET, which may take a second; 0, or an errno. Every mapping of the device must be out of the guest. Of a device that is away it looks for
    /// who serves it, who has it as after a reset then.
    /// </summary>
    int Reset();

    /// <summary>True while whoever serves the device is gone and may come back: every access fails at once, and <see cref="Reset"/> looks for it.</summary>
    bool IsAway => false;

    /// <summary>
    /// Calls <paramref name="lost"/> whenever the device goes away: on any thread and with any lock held, so it may only note that. False for a device that
    /// never comes back once it is gone.
    /// </summary>
    bool WhenLost(Action lost) => false;
}
