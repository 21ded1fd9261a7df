using System.Text.Json;
using Aperture.Assignment;
using Aperture.Linux;

namespace Aperture.Machine.Assigned;

/// <summary>Reports what happens to assigned devices: as events, and as notices where the user has to do something.</summary>
/// <param name="events">The machine's events.</param>
internal sealed class AssignedNotices(IEventSink events) : IAssignedEvents
{
    /// <summary>Asked to take a device from the guest because the host wants it back; on the device's own thread, and must not wait.</summary>
    public Action<AssignedFunction>? Unplug { get; set; }

    public void UnplugRequested(AssignedFunction function)
    {
        Notice("vfio.unplug-requested", $"the host asks for {function.Name} back.", function);
        Unplug?.Invoke(function);
    }

    public void ErrorReported(AssignedFunction function) =>
        Notice("vfio.error", $"{function.Name} had an error that it could not correct; its guest driver should reset it.", function);

    public void DeviceGone(AssignedFunction function, int errno) =>
        Notice("vfio.gone", $"{function.Name} does not answer any more ({Errno.Name(errno)}); the guest reads all-ones from it.", function, errno);

    public void ResetFailed(AssignedFunction function, int errno) => events.Write("vfio.reset-failed", json => Describe(json, function, errno));

    public void InterruptsFailed(AssignedFunction function, int index, int errno) => events.Write("vfio.interrupts-failed", json =>
    {
        json.WriteString("function", function.Name);
        json.WriteString("kind", index switch { VfioIrqIndex.Intx => "intx", VfioIrqIndex.Msi => "msi", _ => "msix" });
        json.WriteString("error", Errno.Name(errno));
    });

    private void Notice(string kind, string sentence, AssignedFunction function, int errno = 0) =>
        events.Notice(kind, sentence, json => Describe(json, function, errno));

    private static void Describe(Utf8JsonWriter json, AssignedFunction function, int errno)
    {
        json.WriteString("function", function.Name);
        if (errno != 0)
        {
            json.WriteString("error", Errno.Name(errno));
        }
    }
}
