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

    private readonly Lock _gate = new();
    private EventFd? _trigger;
    private EventFd? _resample;
    private IDisposable? _link;

    // Guarded by _gate; also read without it on each trapped access, where a stale value only costs a moment of delay.
    private volatile bool _asserted;
    private volatile bool _relaying;
    private long _releaseAt;

    /// <summary>True while interrupts go through this process.</summary>
    public bool IsRelayed => _relaying;

    /// <summary>
    /// Enables INTx. <paramref name="gsi"/> is the input it raises; null when only the line can. <paramref name="isa"/>: the input of the 8259s it raises too.
    /// </summary>
    public bool Start(uint? gsi, uint? isa)
    {
        try
        {
            _trigger ??= new EventFd();
            _resample ??= new EventFd();
        }
        catch (LinuxException)
        {
            failed(VfioIrqIndex.Intx, Errno.EMFILE);
            return false;
        }

        _trigger.TryTake(out _);
        _resample.TryTake(out _);
        int errno = device.SetTriggers(VfioIrqIndex.Intx, 0, new ReadOnlySpan<EventFd?>(in _trigger));
        if (errno != 0)
        {
            failed(VfioIrqIndex.Intx, errno);
            return false;
        }

        _link = gsi is { } input ? guest.ConnectLevel(_trigger, _resample, input, isa) : null;
        if (_link is not null && device.SetIntxUnmask(_resample) != 0)
        {
            _link.Dispose();
            _link = null;
        }

        if (_link is null)
        {
            _relaying = true;
            watch.Add(_trigger, Raised);
        }

        return true;
    }

    /// <summary>Disables INTx; the line falls.</summary>
    public void Stop()
    {
        if (_relaying)
        {
            _relaying = false;
            watch.Remove(_trigger!);
        }
        else
        {
            _ = device.SetIntxUnmask(null);
        }

        _link?.Dispose();
        _link = null;
        _ = device.DisableIrqs(VfioIrqIndex.Intx);
        lock (_gate)
        {
            _asserted = false;
            setLine(false);
        }
    }

    /// <summary>The guest touched the device: perhaps its handler serves the interrupt.</summary>
    public void Touched()
    {
        if (_asserted)
        {
            Release();
        }
    }

    /// <summary>The watch's timer: ends the moment. How long the next wait may be.</summary>
    public int Tick()
    {
        if (_asserted && Environment.TickCount64 >= Volatile.Read(ref _releaseAt))
        {
            Release();
        }

        return _asserted ? AssertedMilliseconds : -1;
    }

    /// <summary>Closes the triggers; after <see cref="Stop"/> and the watch's end.</summary>
    public void Close()
    {
        _trigger?.Dispose();
        _resample?.Dispose();
    }

    private void Raised()
    {
        lock (_gate)
        {
            if (_trigger!.TryTake(out _) && _relaying)
            {
                Volatile.Write(ref _releaseAt, Environment.TickCount64 + AssertedMilliseconds);
                _asserted = true;
                setLine(true);
            }
        }
    }

    private void Release()
    {
        lock (_gate)
        {
            if (_asserted)
            {
                _asserted = false;
                setLine(false);
                _ = device.SetIntxMask(false);
            }
        }
    }
}
