using Aperture.Linux;

namespace Aperture.Assignment;

/// <summary>
/// Looks for a device that is away until it is back, on the watch's thread: at once, then at growing intervals. One that goes away again soon after it was
/// back is looked for no sooner than before.
/// </summary>
internal sealed class LostDevice
{
    private const int FirstPause = 100;
    private const int LongestPause = 5000;
    private const int Calm = 30_000;

    private readonly IVfioDevice _device;
    private readonly Action<bool> _recover;
    private readonly EventFd? _signal;

    // The watch's thread's own.
    private int _pause = FirstPause;
    private long _next = long.MaxValue;
    private long _since = Environment.TickCount64 - Calm;

    /// <summary>Starts to watch a device that can come back.</summary>
    /// <param name="device">The device.</param>
    /// <param name="recover">Takes the function from the guest, if it is there; with true it looks for the device too, once.</param>
    /// <param name="watch">The function's.</param>
    public LostDevice(IVfioDevice device, Action<bool> recover, DeviceWatch watch)
    {
        (_device, _recover) = (device, recover);
        EventFd signal = new();
        if (!device.WhenLost(signal.Signal))
        {
            signal.Dispose();
            return;
        }

        _signal = signal;
        watch.Add(signal, Lost);
        if (device.IsAway)
        {
            signal.Signal();
        }
    }

    /// <summary>The watch's timer: looks for the device when that is due. How long the next wait may be.</summary>
    public int Tick()
    {
        long now = Environment.TickCount64;
        if (_next == long.MaxValue || now < _next)
        {
            return _next == long.MaxValue ? -1 : (int)(_next - now);
        }

        _recover(true);
        if (!_device.IsAway)
        {
            _next = long.MaxValue;
            _since = now;
            return -1;
        }

        _next = now + _pause;
        _pause = Math.Min(2 * _pause, LongestPause);
        return _pause;
    }

    /// <summary>Closes the trigger; after the device's end.</summary>
    public void Close() => _signal?.Dispose();

    private void Lost()
    {
        long now = Environment.TickCount64;
        if (!_signal!.TryTake(out _))
        {
            return;
        }

        bool isCalm = now - _since >= Calm;
        _pause = isCalm ? FirstPause : Math.Min(2 * _pause, LongestPause);
        _next = now + (isCalm ? 0 : _pause);
        _recover(false);
    }
}
