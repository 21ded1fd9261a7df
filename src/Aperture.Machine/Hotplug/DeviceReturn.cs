using Aperture.Pci;
using Aperture.Pci.Ports;

namespace Aperture.Machine.Hotplug;

/// <summary>
/// Gives devices back that the host asks for. What sits in a slot is asked from the guest as <c>detach</c> does, and pulled out when the guest keeps it longer
/// than <see cref="Patience"/>; what sits elsewhere is taken at once, and the guest reads all-ones there. The host waits meanwhile and asks again now and then.
/// </summary>
internal sealed class DeviceReturn(IEventSink events) : IDisposable
{
    /// <summary>How long a guest may take. Linux waits five seconds after the button before it begins.</summary>
    public static readonly TimeSpan Patience = TimeSpan.FromSeconds(20);

    private readonly CancellationTokenSource _ended = new();
    private readonly Dictionary<PciFunction, Task> _asked = [];

    // Under the lock of _asked: null while the machine is being put together, and who was asked for meanwhile.
    private HotplugController? _hotplug;
    private List<PciFunction> _waiting = [];

    /// <summary>Begins with what was asked for, and from now on at once, through <paramref name="hotplug"/>.</summary>
    public void Serve(HotplugController hotplug)
    {
        List<PciFunction> waiting;
        lock (_asked)
        {
            _hotplug = hotplug;
            (waiting, _waiting) = (_waiting, []);
        }

        waiting.ForEach(Begin);
    }

    /// <summary>Begins to give <paramref name="function"/> back; once, however often the host asks. Any thread; does not wait.</summary>
    public void Begin(PciFunction function)
    {
        lock (_asked)
        {
            if (_hotplug is not { } hotplug)
            {
                _waiting.Add(function);
            }
            else if (!_ended.IsCancellationRequested && !_asked.ContainsKey(function))
            {
                _asked.Add(function, Task.Run(() => GiveBack(function, hotplug)));
            }
        }
    }

    /// <summary>The machine ends, which gives back everything.</summary>
    public void Dispose()
    {
        Task[] running;
        lock (_asked)
        {
            _ended.Cancel();
            running = [.. _asked.Values];
        }

        Task.WaitAll(running);
        _ended.Dispose();
    }

    private void GiveBack(PciFunction function, HotplugController hotplug)
    {
        try
        {
            if (function.Bus is not { } bus)
            {
                // It left with another function of its slot, which the host asked for too.
                return;
            }

            if (bus.Parent is not PcieSlotPort)
            {
                hotplug.Withdraw(function);
                return;
            }

            Task asked = hotplug.Detach(function, surprise: false);
            _ = Task.WaitAny([asked], (int)Patience.TotalMilliseconds, _ended.Token);

            // The guest may have taken it back; then the host has the last word.
            Task gone = function.Bus is null ? asked : hotplug.Detach(function, surprise: true);
            gone.Wait(_ended.Token);
        }
        catch (OperationCanceledException)
        {
            // The machine ends.
        }
        catch (ApertureException) when (function.Bus is null)
        {
            // The same, meanwhile.
        }
        catch (Exception fault) when (fault is ApertureException or AggregateException { InnerException: ApertureException })
        {
            events.Write("vfio.return-failed", json =>
            {
                json.WriteString("function", function.Name);
                json.WriteString("reason", (fault as ApertureException ?? fault.InnerException!).Message);
            });
        }
    }
}
