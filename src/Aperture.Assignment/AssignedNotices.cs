using System.Text.Json;
using Aperture.Linux;

namespace Aperture.Assignment;

/// <summary>Reports what happens to assigned devices: as events, and as notices where the user has to do something.</summary>
/// <param name="events">The machine's events.</param>
/// <param name="unplug">Asked to take a device from the guest because the host wants it back; on the device's own thread, and must not wait.</param>
/// <param name="fail">Told one sentence when the machine cannot go on.</param>
public sealed class AssignedNotices(IEventSink events, Action<AssignedFunction> unplug, Action<string> fail) : IAssignedEvents
{
    /// <inheritdoc/>
    public void UnplugRequested(AssignedFunction function)
    {
        Notice("vfio.unplug-requested", $"the host asks for {function.Name} back.", function);
        unplug(function);
    }

    /// <inheritdoc/>
    public void ErrorReported(AssignedFunction function) =>
        Notice("vfio.error", $"{function.Name} had an error that it could not correct; its guest driver should reset it.", function);

    /// <inheritdoc/>
    public void DeviceGone(AssignedFunction function, int errno) =>
        Notice("vfio.gone", $"{function.Name} does not answer any more ({Errno.Name(errno)}); the guest reads all-ones from it.", function, errno);

    /// <inheritdoc/>
    public void ResetFailed(AssignedFunction function, int errno) => Notice(
        "vfio.reset-failed",
        $"{function.Name} was not reset, because the host cannot ({Errno.Name(errno)}): it is found as the guest left it.",
        function,
        errno);

    /// <inheritdoc/>
    public void InterruptsFailed(AssignedFunction function, int index, int errno) => events.Write("vfio.interrupts-failed", json =>
    {
        json.WriteString("function", function.Name);
        json.WriteString("kind", index switch { VfioIrqIndex.Intx => "intx", VfioIrqIndex.Msi => "msi", _ => "msix" });
        json.WriteString("error", Errno.Name(errno));
    });

    /// <inheritdoc/>
    public void ThreadFailed(AssignedFunction function, Exception fault) =>
        fail($"the thread of {function.Name} failed, which is a fault of this program: {fault}");

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
