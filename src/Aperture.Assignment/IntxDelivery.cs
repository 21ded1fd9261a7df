using Aperture.Hypervisor;
using Aperture.Linux;

namespace Aperture.Assignment;

/// <summary>
/// INTx of a device. In the hypervisor when it can: the trigger raises the input, the guest's end of interrupt lowers it and unmasks the device. Else by
/// the watch's thread: the line is asserted until the guest touches a trapped BAR, or for a moment, then the host unmasks the device, which interrupts
/// again if it still has reason to. (The moment makes mapped BARs work; it costs repeated interrupts while the guest's handler runs.)
/// </summary>
internal sealed class IntxDelivery(IVfioDevice device, IGuestInterrupts guest, DeviceWatch watch, Action<bool> setLine, Action<int, int> failed)
{
    private const int AssertedMilliseconds = 1;

    private readonly Lock gate = new();
    private EventFd? trigger;
    private EventFd? resample;
    private IDisposable? link;

    // Guarded by gate; also read without it on each trapped access, where a stale value only costs a moment of delay.
    private volatile bool asserted;
    private volatile bool relaying;
    private long releaseAt;

    /// <summary>True while interrupts go through this process.</summary>
    public bool IsRelayed => relaying;

    /// <summary>Enables INTx. <paramref name="gsi"/> is the input it raises; null when only the line can.</summary>
    public bool Start(uint? gsi)
    {
        try
        {
            trigger ??= new EventFd();
            resample ??= new EventFd();
        }
        catch (LinuxException)
        {
            failed(VfioIrqIndex.Intx, Errno.EMFILE);
            return false;
        }

        trigger.TryTake(out _);
        resample.TryTake(out _);
        int errno = device.SetTriggers(VfioIrqIndex.Intx, 0, new ReadOnlySpan<EventFd?>(in trigger));
        if (errno != 0)
        {
            failed(VfioIrqIndex.Intx, errno);
            return false;
        }

        link = gsi is { } input ? guest.ConnectLevel(trigger, resample, input) : null;
        if (link is not null && device.SetIntxUnmask(resample) != 0)
        {
            link.Dispose();
            link = null;
        }

        if (link is null)
        {
            relaying = true;
            watch.Add(trigger, Raised);
        }

        return true;
    }

    /// <summary>Disables INTx; the line falls.</summary>
    public void Stop()
    {
        if (relaying)
        {
            relaying = false;
            watch.Remove(trigger!);
        }
        else
        {
            _ = device.SetIntxUnmask(null);
        }

        link?.Dispose();
        link = null;
        _ = device.DisableIrqs(VfioIrqIndex.Intx);
        lock (gate)
        {
            asserted = false;
            setLine(false);
        }
    }

    /// <summary>The guest touched the device: perhaps its handler serves the interrupt.</summary>
    public void Touched()
    {
        if (asserted)
        {
            Release();
        }
    }

    /// <summary>The watch's timer: ends the moment. How long the next wait may be.</summary>
    public int Tick()
    {
        if (asserted && Environment.TickCount64 >= Volatile.Read(ref releaseAt))
        {
            Release();
        }

        return asserted ? AssertedMilliseconds : -1;
    }

    /// <summary>Closes the triggers; after <see cref="Stop"/> and the watch's end.</summary>
    public void Close()
    {
        trigger?.Dispose();
        resample?.Dispose();
    }

    private void Raised()
    {
        lock (gate)
        {
            if (trigger!.TryTake(out _) && relaying)
            {
                Volatile.Write(ref releaseAt, Environment.TickCount64 + AssertedMilliseconds);
                asserted = true;
                setLine(true);
            }
        }
    }

    private void Release()
    {
        lock (gate)
        {
            if (asserted)
            {
                asserted = false;
                setLine(false);
                _ = device.SetIntxMask(false);
            }
        }
    }
}
