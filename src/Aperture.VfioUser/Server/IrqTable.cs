using Aperture.Assignment;
using Aperture.Linux;
using Aperture.VfioUser.Protocol;
using Aperture.VfioUser.Transport;

namespace Aperture.VfioUser.Server;

/// <summary>
/// The eventfds that a client tied to a device's interrupts, and the state of INTx (vfio-user protocol, "VFIO_USER_DEVICE_SET_IRQS"). Thread-safe.
/// </summary>
internal sealed class IrqTable : IDisposable
{
    private readonly Lock _gate = new();
    private readonly IReadOnlyList<VfioIrq> _irqs;

    // By kind and vector; by kind, what is told that the kind was masked or unmasked.
    private readonly EventFd?[][] _triggers;
    private readonly EventFd?[] _masks;
    private readonly EventFd?[] _unmasks;

    private bool _asserted;
    private bool _masked;
    private bool _closed;

    /// <summary>Nothing is tied yet.</summary>
    public IrqTable(IReadOnlyList<VfioIrq> irqs)
    {
        _irqs = irqs;
        _triggers = [.. irqs.Select(static irq => new EventFd?[irq.Count])];
        _masks = new EventFd?[irqs.Count];
        _unmasks = new EventFd?[irqs.Count];
    }

    /// <summary>Carries out a request; 0, or an errno. Descriptors that it takes over are taken from the message.</summary>
    public int Set(SetIrqsRequest request, ReadOnlySpan<byte> booleans, MessageDescriptors sent)
    {
        if (request.Index >= (uint)_irqs.Count)
        {
            return Errno.EINVAL;
        }

        VfioIrq irq = _irqs[(int)request.Index];
        if (request.Start > (uint)irq.Count || request.Count > (uint)irq.Count - request.Start)
        {
            return Errno.EINVAL;
        }

        bool descriptors = request.Data == SetIrqsFlags.DataEventFd;
        if (sent.Lost || (sent.Count != 0 && (!descriptors || sent.Count != request.Count)))
        {
            return Errno.EINVAL;
        }

        if (request.Action != SetIrqsFlags.Trigger && !irq.Maskable)
        {
            return Errno.EINVAL;
        }

        bool disables = request is { Count: 0, Start: 0, Flags: SetIrqsFlags.DataNone | SetIrqsFlags.Trigger };
        if (request.Count == 0 && !disables)
        {
            return Errno.EINVAL;
        }

        lock (_gate)
        {
            if (_closed)
            {
                return Errno.ENODEV;
            }

            if (descriptors)
            {
                return Tie(request, sent);
            }

            if (disables)
            {
                Disable((int)request.Index);
            }
            else
            {
                Act(request, booleans);
            }

            return 0;
        }
    }

    /// <summary>True when something is tied to a vector of this kind.</summary>
    public bool IsEnabled(int index)
    {
        lock (_gate)
        {
            return (uint)index < (uint)_triggers.Length && Array.Exists(_triggers[index], static t => t is not null);
        }
    }

    /// <summary>Signals a vector; false when nothing is tied to it.</summary>
    public bool Signal(int index, int vector)
    {
        lock (_gate)
        {
            if ((uint)index >= (uint)_triggers.Length || (uint)vector >= (uint)_triggers[index].Length || _triggers[index][vector] is not { } trigger)
            {
                return false;
            }

            trigger.Signal();
            return true;
        }
    }

    /// <summary>Sets the level of INTx.</summary>
    public void SetIntx(bool asserted)
    {
        lock (_gate)
        {
            _asserted = asserted;
            RaiseIntx();
        }
    }

    /// <summary>Closes all eventfds; nothing is signalled afterwards.</summary>
    public void Dispose()
    {
        lock (_gate)
        {
            _closed = true;
            for (int index = 0; index < _triggers.Length; index++)
            {
                Untie(_triggers[index]);
            }

            Untie(_masks);
            Untie(_unmasks);
        }
    }

    private static void Untie(Span<EventFd?> vectors)
    {
        foreach (ref EventFd? vector in vectors)
        {
            vector?.Dispose();
            vector = null;
        }
    }

    private int Tie(SetIrqsRequest request, MessageDescriptors sent)
    {
        if (request.Action != SetIrqsFlags.Trigger && request.Count > 1)
        {
            return Errno.EINVAL;
        }

        Span<EventFd?> vectors = request.Action switch
        {
            SetIrqsFlags.Trigger => _triggers[request.Index].AsSpan((int)request.Start, (int)request.Count),
            SetIrqsFlags.Mask => _masks.AsSpan((int)request.Index, (int)request.Count),
            _ => _unmasks.AsSpan((int)request.Index, (int)request.Count),
        };
        if (sent.Count == 0)
        {
            Untie(vectors);
            return 0;
        }

        EventFd?[] adopted = new EventFd?[vectors.Length];
        for (int i = 0; i < adopted.Length; i++)
        {
            adopted[i] = EventFd.TryAdopt(sent[i]);
            if (adopted[i] is null)
            {
                return Errno.EINVAL;
            }
        }

        Untie(vectors);
        for (int i = 0; i < adopted.Length; i++)
        {
            sent.Take(i);
            vectors[i] = adopted[i];
        }

        RaiseIntx();
        return 0;
    }

    private void Act(SetIrqsRequest request, ReadOnlySpan<byte> booleans)
    {
        for (uint i = 0; i < request.Count; i++)
        {
            if (request.Data == SetIrqsFlags.DataBool && booleans[(int)i] == 0)
            {
                continue;
            }

            if (request.Action == SetIrqsFlags.Trigger)
            {
                _triggers[request.Index][request.Start + i]?.Signal();
            }
            else
            {
                Mask((int)request.Index, request.Action == SetIrqsFlags.Mask);
            }
        }
    }

    private void Disable(int index)
    {
        Untie(_triggers[index]);
        if (index == VfioIrqIndex.Intx)
        {
            _masked = false;
        }
    }

    private void Mask(int index, bool masked)
    {
        (masked ? _masks : _unmasks)[index]?.Signal();
        if (index == VfioIrqIndex.Intx)
        {
            _masked = masked;
            RaiseIntx();
        }
    }

    private void RaiseIntx()
    {
        if (_asserted && !_masked && _triggers.Length > VfioIrqIndex.Intx && _triggers[VfioIrqIndex.Intx] is [{ } trigger, ..])
        {
            _masked = _irqs[VfioIrqIndex.Intx].AutoMasked;
            trigger.Signal();
        }
    }
}
