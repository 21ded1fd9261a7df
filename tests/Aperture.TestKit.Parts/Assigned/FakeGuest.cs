using Aperture.Assignment;
using Aperture.Hypervisor;
using Aperture.Linux;
using Aperture.Pci;

namespace Aperture.TestKit.Parts.Assigned;

/// <summary>
/// A hypervisor's interrupts as KVM behaves: a connected trigger's count is taken when it is signalled; a count that is there when the route comes is
/// delivered and stays.
/// </summary>
public sealed class FakeGuest : IGuestInterrupts
{
    private readonly List<Route> _routes = [];

    public int RoutesLeft { get; set; } = int.MaxValue;

    public bool HasLevels { get; set; } = true;

    public List<MsiMessage> Delivered { get; } = [];

    public List<uint> Levels { get; } = [];

    /// <summary>The input of the 8259s that the connected level raises as well.</summary>
    public uint? Isa { get; private set; }

    /// <summary>An input of the 8259s that cannot be had.</summary>
    public uint? TakenIsa { get; set; }

    public int LevelRaises { get; private set; }

    public List<MsiMessage> Connected => [.. _routes.Where(r => r.Trigger is not null).Select(r => r.Message!.Value)];

    /// <summary>Messages that took another's place on a route.</summary>
    public int Changes { get; private set; }

    /// <summary>How often the table of routes was written: the hypervisor takes whole ones.</summary>
    public int Tables { get; private set; }

    public bool RefusesTables { get; set; }

    public int Reserved => _routes.Count;

    /// <summary>Who sends the routes' messages, in the order of the routing.</summary>
    public List<Bdf> Requesters { get; } = [];

    public List<string> Log { get; set; } = [];

    /// <summary>Called when a route is asked for, before it exists.</summary>
    public Action? Connecting { get; set; }

    private EventFd? _levelTrigger;

    public bool Takes(MsiMessage message) => message.Address.Value >> 20 == 0xFEE;

    public IMessageRoute? Reserve()
    {
        if (RoutesLeft <= _routes.Count)
        {
            return null;
        }

        Route route = new(this);
        _routes.Add(route);
        return route;
    }

    public bool TryRoute(ReadOnlySpan<RoutedMessage> changes)
    {
        if (RefusesTables)
        {
            return false;
        }

        Tables++;
        foreach (RoutedMessage change in changes)
        {
            Route route = (Route)change.Route;
            Assert.Contains(route, _routes);
            Assert.True(Takes(change.Message));
            Requesters.Add(change.Requester);
            Changes += route.Message is null ? 0 : 1;
            route.Message = change.Message;
        }

        return true;
    }

    public IDisposable? ConnectLevel(EventFd trigger, EventFd resample, uint gsi, uint? isa)
    {
        if (!HasLevels || (isa is not null && isa == TakenIsa))
        {
            return null;
        }

        Levels.Add(gsi);
        Isa = isa;
        _levelTrigger = trigger;
        return new Level(this, gsi);
    }

    public void Signalled(EventFd trigger)
    {
        if (trigger == _levelTrigger && trigger.TryTake(out _))
        {
            LevelRaises++;
        }

        if (_routes.Find(r => r.Trigger == trigger) is { } route && trigger.TryTake(out _))
        {
            Delivered.Add(route.Message!.Value);
        }
    }

    private sealed class Route(FakeGuest guest) : IMessageRoute
    {
        public EventFd? Trigger { get; private set; }

        public MsiMessage? Message { get; set; }

        public bool TryConnect(EventFd trigger)
        {
            Assert.DoesNotContain(guest._routes, r => r.Trigger == trigger);
            Assert.NotNull(Message);
            guest.Connecting?.Invoke();
            Trigger = trigger;
            if (trigger.TryTake(out _))
            {
                guest.Delivered.Add(Message.Value);
                trigger.Signal();
            }

            return true;
        }

        public void Disconnect()
        {
            if (Trigger is not null)
            {
                Trigger = null;
                guest.Log.Add("unroute");
            }
        }

        public void Dispose()
        {
            Disconnect();
            Assert.True(guest._routes.Remove(this));
        }
    }

    private sealed class Level(FakeGuest guest, uint gsi) : IDisposable
    {
        public void Dispose()
        {
            Assert.True(guest.Levels.Remove(gsi));
            guest._levelTrigger = null;
            guest.Isa = null;
        }
    }
}

/// <summary>Records what it was told.</summary>
public sealed class RecordingEvents : IAssignedEvents
{
    private readonly List<string> _seen = [];

    public string[] Seen
    {
        get
        {
            lock (_seen)
            {
                return [.. _seen];
            }
        }
    }

    /// <summary>Done when the host asks for the device, on the device's thread.</summary>
    public Action? OnUnplug { get; set; }

    public void UnplugRequested(AssignedFunction function)
    {
        OnUnplug?.Invoke();
        Add("unplug");
    }

    public void ErrorReported(AssignedFunction function) => Add("error");

    public void DeviceGone(AssignedFunction function, int errno) => Add($"gone {errno}");

    public void ResetFailed(AssignedFunction function, int errno) => Add($"reset failed {errno}");

    public void InterruptsFailed(AssignedFunction function, int index, int errno) => Add($"interrupts {index} failed {errno}");

    public void ThreadFailed(AssignedFunction function, Exception fault) => Add($"thread failed: {fault.Message}");

    private void Add(string what)
    {
        lock (_seen)
        {
            _seen.Add(what);
        }
    }
}

/// <summary>Records messages sent by this process.</summary>
public sealed class RecordingSink : IMsiSink
{
    private readonly List<MsiMessage> _sent = [];

    public MsiMessage[] Sent
    {
        get
        {
            lock (_sent)
            {
                return [.. _sent];
            }
        }
    }

    public void Send(Bdf requester, MsiMessage message)
    {
        lock (_sent)
        {
            _sent.Add(message);
        }
    }
}

/// <summary>Counts rises of a line.</summary>
public sealed class RecordingLine : IInterruptLine
{
    private int _rises;
    private volatile bool _level;

    public bool Level => _level;

    public int Rises => Volatile.Read(ref _rises);

    public void Set(bool asserted)
    {
        if (asserted && !_level)
        {
            Interlocked.Increment(ref _rises);
        }

        _level = asserted;
    }
}

/// <summary>Records when the machine's map followed.</summary>
public sealed class RecordingMap(List<string> log) : IConfigWriteSink
{
    public void Written(PciFunction function, ConfigChange change, int offset, int size, uint value)
    {
        if ((change & ConfigChange.DecodeMap) != 0)
        {
            log.Add("map follows");
        }
    }

    public void Changed(PciFunction function) => log.Add("map follows");
}
