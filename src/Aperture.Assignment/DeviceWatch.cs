using Aperture.Linux;

namespace Aperture.Assignment;

/// <summary>
/// One thread that waits for eventfds of a device and runs what belongs to them: requests and errors of the host, and interrupts that the hypervisor
/// cannot deliver by itself. Started by the first entry. Waiting and running allocate nothing.
/// </summary>
/// <param name="name">What the device is called.</param>
/// <param name="faulted">Told on the thread of what this program did wrong there; nothing is waited for any more then.</param>
internal sealed class DeviceWatch(string name, Action<Exception> faulted) : IDisposable
{
    private readonly Lock _gate = new();
    private readonly EventFd _wake = new();

    // Replaced under gate, never changed; the thread reads it without.
    private volatile Entry[] _entries = [];
    private volatile bool _stopping;
    private Thread? _thread;

    /// <summary>
    /// Asked on the thread before each wait: how many milliseconds it may last, -1 for ever. May do what is due. Set before the first entry.
    /// </summary>
    public Func<int>? Timer { get; init; }

    /// <summary>Runs <paramref name="signalled"/> on the thread whenever <paramref name="trigger"/> has a count, which it must take.</summary>
    public void Add(EventFd trigger, Action signalled)
    {
        lock (_gate)
        {
            if (_stopping)
            {
                return;
            }

            _entries = [.. _entries, new Entry(trigger, signalled)];
            if (_thread is null)
            {
                _thread = new Thread(Run) { IsBackground = true, Name = $"vfio {name}" };
                _thread.Start();
            }
        }

        _wake.Signal();
    }

    /// <summary>Stops waiting for <paramref name="trigger"/>. Its action may still be running, or run once more.</summary>
    public void Remove(EventFd trigger)
    {
        lock (_gate)
        {
            _entries = Array.FindAll(_entries, e => e.Trigger != trigger);
        }

        _wake.Signal();
    }

    /// <summary>Ends the thread; no action runs after this. Must not be called with a lock that an action takes.</summary>
    public void Dispose()
    {
        Thread? running;
        lock (_gate)
        {
            _stopping = true;
            running = _thread;
        }

        _wake.Signal();
        if (running is not null && running != Thread.CurrentThread)
        {
            running.Join();
        }

        _wake.Dispose();
    }

    private void Run()
    {
        try
        {
            WatchAll();
        }
        catch (Exception fault)
        {
            // As on a vCPU's thread: whoever has the machine decides what becomes of it.
            faulted(fault);
        }
    }

    private void WatchAll()
    {
        Entry[] watched = [];
        PollItem[] items = [new PollItem(_wake.Descriptor, PollEvents.Readable)];
        while (!_stopping)
        {
            if (_entries is { } now && now != watched)
            {
                watched = now;
                items = new PollItem[now.Length + 1];
                items[0] = new PollItem(_wake.Descriptor, PollEvents.Readable);
                for (int i = 0; i < now.Length; i++)
                {
                    items[i + 1] = new PollItem(now[i].Trigger.Descriptor, PollEvents.Readable);
                }
            }

            Poll.Wait(items, Timer?.Invoke() ?? -1);
            _wake.TryTake(out _);
            for (int i = 0; i < watched.Length && !_stopping; i++)
            {
                if ((items[i + 1].Seen & PollEvents.Readable) != 0)
                {
                    watched[i].Signalled();
                }
            }
        }
    }

    private sealed record Entry(EventFd Trigger, Action Signalled);
}
