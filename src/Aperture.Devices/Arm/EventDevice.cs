namespace Aperture.Devices.Arm;

/// <summary>
/// The register of a generic event device (ACPI 6.5 5.6.9), four bytes: reading gives the events that happened and clears them. Its interrupt is asserted while
/// there are any. What the bits mean the tables say.
/// </summary>
public sealed class EventDevice : IAccessHandler, IResettable
{
    /// <summary>Bytes of its page, of which the first four are the register.</summary>
    public const uint Length = 0x1000;

    private const int RegisterSize = 4;
    private readonly Lock _gate = new();
    private readonly IInterruptLine _interrupt;
    private uint _events;

    /// <summary>Makes the device; nothing has happened.</summary>
    public EventDevice(IInterruptLine interrupt) => _interrupt = interrupt;

    /// <summary>Something happened: the bits of <paramref name="events"/>. Any thread.</summary>
    public void Raise(uint events)
    {
        lock (_gate)
        {
            Set(_events | events);
        }
    }

    /// <inheritdoc/>
    public AccessResult Read(ulong offset, int size, out ulong value)
    {
        if (offset != 0 || size != RegisterSize)
        {
            value = AccessWidth.AllOnes(size);
            return AccessResult.Unclaimed;
        }

        lock (_gate)
        {
            value = _events;
            Set(0);
        }

        return AccessResult.Ok;
    }

    /// <summary>Nothing is writable.</summary>
    public AccessResult Write(ulong offset, int size, ulong value) =>
        offset == 0 && size == RegisterSize ? AccessResult.Ok : AccessResult.Unclaimed;

    /// <inheritdoc/>
    public void Reset()
    {
        lock (_gate)
        {
            Set(0);
        }
    }

    private void Set(uint events)
    {
        bool changes = (events != 0) != (_events != 0);
        _events = events;
        if (changes)
        {
            _interrupt.Set(events != 0);
        }
    }
}
