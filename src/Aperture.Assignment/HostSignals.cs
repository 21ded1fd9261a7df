using Aperture.Linux;

namespace Aperture.Assignment;

/// <summary>Listens for what the host says of a device: that it wants it back, and that it saw an error.</summary>
internal sealed class HostSignals
{
    private readonly IVfioDevice device;
    private readonly DeviceWatch watch;
    private readonly List<(int Index, EventFd Trigger)> open = [];

    public HostSignals(AssignedFunction function, IVfioDevice device, DeviceWatch watch, IAssignedEvents events)
    {
        this.device = device;
        this.watch = watch;
        Listen(VfioIrqIndex.Request, () => events.UnplugRequested(function));
        Listen(VfioIrqIndex.Error, () => events.ErrorReported(function));
    }

    /// <summary>Takes the triggers from the device.</summary>
    public void Stop()
    {
        foreach ((int index, EventFd trigger) in open)
        {
            watch.Remove(trigger);
            _ = device.DisableIrqs(index);
        }
    }

    /// <summary>Closes the triggers; after the watch's end.</summary>
    public void Close()
    {
        foreach ((_, EventFd trigger) in open)
        {
            trigger.Dispose();
        }
    }

    private void Listen(int index, Action signalled)
    {
        if (device.Irqs.FirstOrDefault(i => i.Index == index) is not { Count: > 0 })
        {
            return;
        }

        EventFd trigger = new();
        if (device.SetTriggers(index, 0, new ReadOnlySpan<EventFd?>(in trigger!)) != 0)
        {
            // An older kernel without it; the device works all the same.
            trigger.Dispose();
            return;
        }

        open.Add((index, trigger));
        watch.Add(trigger, () =>
        {
            if (trigger.TryTake(out _))
            {
                signalled();
            }
        });
    }
}
