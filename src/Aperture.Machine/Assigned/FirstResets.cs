using Aperture.Assignment;

namespace Aperture.Machine.Assigned;

/// <summary>
/// Resets devices before a guest has them, as far as the kernel did not when they were opened: those without a reset of their own go with their bus or slot,
/// for which all functions of a machine that share it have to be open. One thread at a time.
/// </summary>
internal sealed class FirstResets(IEventSink events)
{
    private readonly List<(string Name, PciAddress? Host, IVfioDevice Device)> _waiting = [];

    /// <summary>
    /// Notes a device that was opened, by its address on the host, which a mediated one has not. One of the same name that was opened earlier and is still
    /// waiting was given back unused.
    /// </summary>
    public void Add(string name, PciAddress? host, IVfioDevice device)
    {
        _waiting.RemoveAll(each => each.Name == name);
        if (!device.CanReset)
        {
            _waiting.Add((name, host, device));
        }
    }

    /// <summary>Resets what was opened, and tells the user of what starts unreset.</summary>
    public void Run() => Run([.. _waiting.Select(each => each.Name)]);

    /// <summary>As the other overload for those of <paramref name="names"/>; others are forgotten, which were given back unused.</summary>
    public void Run(IReadOnlyCollection<string> names)
    {
        foreach ((string name, PciAddress? host, IVfioDevice device) in _waiting.Where(each => names.Contains(each.Name)))
        {
            if (device.Reset() != 0)
            {
                events.Notice(
                    "vfio.no-reset",
                    (host is { } function
                        ? $"{function} cannot be reset (it has no reset of its own, and its bus has none either, or functions that are in use or not this "
                            + "machine's): "
                        : $"{device.Name} cannot be reset (its driver on the host offers none): ")
                        + "the guest finds it as its last user left it.",
                    json => json.WriteString("function", name));
            }
        }

        _waiting.Clear();
    }
}
