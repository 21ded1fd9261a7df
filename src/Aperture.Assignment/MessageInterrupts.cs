using Aperture.Hypervisor;
using Aperture.Linux;
using Aperture.Pci.Capabilities;

namespace Aperture.Assignment;

/// <summary>
/// The vectors of MSI or MSI-X of a device: each that may be sent has its trigger tied to its message in the hypervisor, each that may not has its
/// trigger untied, so that the trigger's own count remembers what the device raised. The trigger stays with the device, and the message's route with the
/// vector, until the kind is disabled: masking costs no change of the hypervisor's table. Called with the owner's lock.
/// </summary>
internal sealed class MessageInterrupts(
    IVfioDevice device, IGuestInterrupts guest, DeviceWatch watch, VfioIrq irq, IMessageVectors vectors, Func<Bdf> requester, Action<int, int> failed)
{
    // Kept until the end: a trigger that the watch thread may be looking at is never closed before that thread ended.
    private readonly EventFd?[] _triggers = new EventFd?[vectors.Vectors];
    private readonly bool[] _enabled = new bool[vectors.Vectors];
    private readonly IMessageRoute?[] _routes = new IMessageRoute?[vectors.Vectors];
    private readonly (MsiMessage Message, Bdf Requester)[] _messages = new (MsiMessage, Bdf)[vectors.Vectors];
    private readonly bool[] _wanted = new bool[vectors.Vectors];
    private readonly bool[] _connected = new bool[vectors.Vectors];
    private readonly bool[] _relayed = new bool[vectors.Vectors];
    private int _reserved;

    // Why the host did not give more than the reserved ones; not asked again, because asking disables the ones that work.
    private int _growthErrno;
    private bool _reported;

    /// <summary>The capability.</summary>
    public IMessageVectors Vectors => vectors;

    /// <summary>How many vectors go through this process because the hypervisor has no route left.</summary>
    public int Relayed => _relayed.Count(r => r);

    /// <summary>Brings vectors to what the registers say now.</summary>
    public void Refresh(int first, int count)
    {
        int end = Math.Min(first + count, vectors.Vectors);
        Route(first, end);
        for (int vector = first; vector < end; vector++)
        {
            if (!_wanted[vector])
            {
                Disconnect(vector);
            }
            else if (!_connected[vector] && !_relayed[vector] && Enable(vector) is { } trigger)
            {
                Connect(vector, trigger);
            }
        }
    }

    /// <summary>Makes pending what the device raised on vectors that are not connected.</summary>
    public void Collect(int first, int count)
    {
        for (int vector = first; vector < Math.Min(first + count, vectors.Vectors); vector++)
        {
            if (!_connected[vector] && _triggers[vector] is { } trigger && trigger.TryTake(out _))
            {
                vectors.Trigger(vector);
            }
        }
    }

    /// <summary>Takes every vector from the guest and disables the kind in the device. What was raised stays pending, or is dropped (a reset).</summary>
    public void Disable(bool drop)
    {
        for (int vector = 0; vector < _routes.Length; vector++)
        {
            Release(vector);
        }

        if (_reserved != 0)
        {
            _ = device.DisableIrqs(irq.Index);
        }

        for (int vector = 0; vector < _triggers.Length; vector++)
        {
            if (_triggers[vector] is { } trigger && trigger.TryTake(out _) && !drop)
            {
                vectors.Trigger(vector);
            }
        }

        Array.Clear(_enabled);
        _reserved = 0;
        _growthErrno = 0;
        _reported = false;
    }

    /// <summary>Closes the triggers; after <see cref="Disable"/> and the watch's end.</summary>
    public void Close()
    {
        foreach (EventFd? trigger in _triggers)
        {
            trigger?.Dispose();
        }
    }

    // Gives every vector that may be sent a route with its message, all of them with one change of the table, and before a trigger is tied to any: what is
    // signalled to a route without a message is lost.
    private void Route(int first, int end)
    {
        List<int> changed = [];
        Bdf sender = requester();
        for (int vector = first; vector < end; vector++)
        {
            _wanted[vector] = vectors.MaySend(vector, out MsiMessage message);
            if (!_wanted[vector] || _relayed[vector] || (_routes[vector] is not null && _messages[vector] == (message, sender)))
            {
                continue;
            }

            if (!guest.Takes(message))
            {
                Release(vector);
            }
            else if ((_routes[vector] ??= guest.Reserve()) is not null)
            {
                _messages[vector] = (message, sender);
                changed.Add(vector);
            }
        }

        if (changed.Count != 0 && !guest.TryRoute([.. changed.Select(vector => Routed(vector))]))
        {
            changed.ForEach(Release);
        }
    }

    private RoutedMessage Routed(int vector) => new(_routes[vector]!, _messages[vector].Message) { Requester = _messages[vector].Requester };

    private void Connect(int vector, EventFd trigger)
    {
        bool waiting = trigger.TryTake(out _);
        if (_routes[vector] is { } route && route.TryConnect(trigger))
        {
            _connected[vector] = true;

            // A count that was there when the route came was delivered with it but not taken (KVM API 4.75, KVM_IRQFD); it must not show as pending later.
            trigger.TryTake(out _);
        }
        else
        {
            Release(vector);
            _relayed[vector] = true;
            watch.Add(trigger, () => Relay(vector, trigger));
        }

        if (waiting)
        {
            vectors.Trigger(vector);
        }
    }

    // On the watch's thread, without the owner's lock: the capability decides whether the message may go.
    private void Relay(int vector, EventFd trigger)
    {
        if (trigger.TryTake(out _))
        {
            vectors.Trigger(vector);
        }
    }

    // Takes the vector from the guest; its route waits for it.
    private void Disconnect(int vector)
    {
        if (_connected[vector])
        {
            _connected[vector] = false;
            _routes[vector]!.Disconnect();
        }

        if (_relayed[vector])
        {
            _relayed[vector] = false;
            watch.Remove(_triggers[vector]!);
        }
    }

    private void Release(int vector)
    {
        Disconnect(vector);
        _routes[vector]?.Dispose();
        _routes[vector] = null;
    }

    private EventFd? Enable(int vector)
    {
        if (_enabled[vector])
        {
            return _triggers[vector];
        }

        try
        {
            _triggers[vector] ??= new EventFd();
        }
        catch (LinuxException)
        {
            Fail(Errno.EMFILE);
            return null;
        }

        _enabled[vector] = true;
        int errno = vector < _reserved || (_reserved != 0 && irq.CanGrow) ? Hand(vector) : Reserve(vector);
        if (errno != 0)
        {
            _enabled[vector] = false;
            Fail(errno);
            return null;
        }

        _reserved = Math.Max(_reserved, vector + 1);
        return _triggers[vector];
    }

    private int Hand(int vector)
    {
        EventFd? trigger = _triggers[vector];
        return device.SetTriggers(irq.Index, vector, new ReadOnlySpan<EventFd?>(in trigger));
    }

    // The kind is off, or has too few vectors and cannot get more while it is on.
    private int Reserve(int vector)
    {
        int before = _reserved;
        if (before == 0 && irq.CanGrow)
        {
            return Hand(vector);
        }

        if (before != 0)
        {
            if (_growthErrno != 0)
            {
                return _growthErrno;
            }

            _ = device.DisableIrqs(irq.Index);
        }

        // All that the guest may come to use at once, so that none is ever taken away from the running device; or just what is needed now.
        int most = vectors is MsiCapability msi ? msi.AllocatedVectors : vectors.Vectors;
        int needed = Array.LastIndexOf(_enabled, true) + 1;
        int errno = 0;
        foreach (int count in (ReadOnlySpan<int>)[most, needed])
        {
            errno = SetFirst(count);
            if (errno == 0)
            {
                _reserved = count;
                return 0;
            }
        }

        _enabled[vector] = false;
        GoBack(before, errno);
        return errno;
    }

    // The host gave no more: what it gave before is enabled again. If it does not give even that, every vector begins anew when it is next written.
    private void GoBack(int before, int errno)
    {
        if (before != 0 && SetFirst(before) == 0)
        {
            _growthErrno = errno;
            return;
        }

        _reserved = 0;
        for (int vector = 0; vector < _enabled.Length; vector++)
        {
            if (_enabled[vector])
            {
                _enabled[vector] = false;
                Disconnect(vector);
            }
        }
    }

    private int SetFirst(int count)
    {
        EventFd?[] first = new EventFd?[count];
        for (int i = 0; i < count; i++)
        {
            first[i] = _enabled[i] ? _triggers[i] : null;
        }

        return device.SetTriggers(irq.Index, 0, first);
    }

    private void Fail(int errno)
    {
        if (!_reported)
        {
            _reported = true;
            failed(irq.Index, errno);
        }
    }
}
