using Aperture.Assignment;
using Aperture.Linux;

namespace Aperture.Machine.Assigned;

/// <summary>Reports what happens to assigned devices: as events, and on standard error where the user has to do something.</summary>
/// <param name="events">The machine's events.</param>
internal sealed class AssignedNotices(IEventSink events) : IAssignedEvents
{
    /// <summary>Asked to take a device from the guest because the host wants it back; on the device's own thread, and must not wait.</summary>
    public Action<AssignedFunction>? Unplug { get; set; }

    public void UnplugRequested(AssignedFunction function)
    {
        Write("vfio.unplug-requested", function);
        System.Console.Error.WriteLine($"aperture: the host asks for {function.Name} back.");
        Unplug?.Invoke(function);
    }

    public void ErrorReported(AssignedFunction function)
    {
        Write("vfio.error", function);
        System.Console.Error.WriteLine($"aperture: {function.Name} had an error that it could not correct; its guest driver should reset it.");
    }

    public void DeviceGone(AssignedFunction function, int errno)
    {
        Write("vfio.gone", function, errno);
        System.Console.Error.WriteLine($"aperture: {function.Name} does not answer any more ({Errno.Name(errno)}); the guest reads all-ones from it.");
    }

    public void ResetFailed(AssignedFunction function, int errno) => Write("vfio.reset-failed", function, errno);

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
