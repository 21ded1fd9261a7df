using Aperture.Linux;

namespace Aperture.Assignment;

/// <summary>Listens for what the host says of a device: that it wants it back, and that it saw an error.</summary>
internal sealed class HostSignals
{
    private readonly IVfioDevice _device;
    private readonly DeviceWatch _watch;
    private readonly List<(int Index, EventFd Trigger)> _open = [];

    public HostSignals(AssignedFunction function, IVfioDevice device, DeviceWatch watch, IAssignedEvents events)
    {
        _device = device;
        _watch = watch;
        Listen(VfioIrqIndex.Request, () => events.UnplugRequested(function));
        Listen(VfioIrqIndex.Error, () => events.ErrorReported(function));
    }

    /// <summary>Gives the triggers to a device that was away and knows of none.</summary>
    public void Renew()
    {
        foreach ((int index, EventFd trigger) in _open)
        {
            _ = _device.SetTriggers(index, 0, new ReadOnlySpan<EventFd?>(in trigger!));
        }
    }

    /// <summary>Takes the triggers from the device.</summary>
    public void Stop()
    {
        foreach ((int index, EventFd trigger) in _open)
        {
            _watch.Remove(trigger);
            _ = _device.DisableIrqs(index);
        }
    }

    /// <summary>Closes the triggers; after the watch's end.</summary>
    public void Close()
    {
        foreach ((_, EventFd trigger) in _open)
        {
            trigger.Dispose();
        }
    }

    private void Listen(int index, Action signalled)
    {
        if (_device.Irqs.FirstOrDefault(i => i.Index == index) is not { Count: > 0 })
        {
            return;
        }

        EventFd trigger = new();
        if (_device.SetTriggers(index, 0, new ReadOnlySpan<EventFd?>(in trigger!)) != 0)
        {
            // An older kernel without it; the device works all the same.
            trigger.Dispose();
            return;
        }

        _open.Add((index, trigger));
        _watch.Add(trigger, () =>
        {
            if (trigger.TryTake(out _))
            {
                signalled();
            }
        });
    }
}
