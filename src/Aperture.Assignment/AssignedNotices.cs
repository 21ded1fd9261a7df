using Aperture.Linux;

namespace Aperture.Assignment;

/// <summary>Reports what happens to assigned devices: as events, and in sentences where the user has to do something.</summary>
/// <param name="events">The machine's events.</param>
/// <param name="unplug">Asked to take a device from the guest because the host wants it back; on the device's own thread, and must not wait.</param>
/// <param name="tell">Told the sentences, on any thread; must not throw.</param>
public sealed class AssignedNotices(IEventSink events, Action<AssignedFunction> unplug, Action<string> tell) : IAssignedEvents
{
    /// <inheritdoc/>
    public void UnplugRequested(AssignedFunction function)
    {
        Write("vfio.unplug-requested", function);
        tell($"the host asks for {function.Name} back.");
        unplug(function);
    }

    /// <inheritdoc/>
    public void ErrorReported(AssignedFunction function)
    {
        Write("vfio.error", function);
        tell($"{function.Name} had an error that it could not correct; its guest driver should reset it.");
    }

    /// <inheritdoc/>
    public void DeviceGone(AssignedFunction function, int errno)
    {
        Write("vfio.gone", function, errno);
        tell($"{function.Name} does not answer any more ({Errno.Name(errno)}); the guest reads all-ones from it.");
    }

    /// <inheritdoc/>
    public void ResetFailed(AssignedFunction function, int errno) => Write("vfio.reset-failed", function, errno);

    /// <inheritdoc/>
    public void InterruptsFailed(AssignedFunction function, int index, int errno) => events.Write("vfio.interrupts-failed", json =>
    {
        json.WriteString("function", function.Name);
        json.WriteString("kind", index switch { VfioIrqIndex.Intx => "intx", VfioIrqIndex.Msi => "msi", _ => "msix" });
        json.WriteString("error", Errno.Name(errno));
    });

    private void Write(string kind, AssignedFunction function, int errno = 0) => events.Write(kind, json =>
    {
        json.WriteString("function", function.Name);
        if (errno != 0)
        {
            json.WriteString("error", Errno.Name(errno));
        }
    });
}
