using System.Globalization;
using Aperture.Assignment;
using Aperture.Hypervisor;

namespace Aperture.Machine.Assigned;

/// <summary>
/// Lets guests live that touch a page of an assigned device's BAR for which the device's driver has no memory: they find all-ones there. Thread-safe; vCPUs
/// call it. It ends: each page is replaced once, and a vCPU goes on only when one was since it last asked.
/// </summary>
/// <param name="replace">Replaces what is missing, and tells what that was.</param>
/// <param name="events">Told of it.</param>
/// <param name="stopped">Decides about everything else.</param>
internal sealed class MissingMemoryHandler(Func<IReadOnlyList<MissingMemory>> replace, IEventSink events, Func<VcpuStop, VcpuAction> stopped)
{
    private readonly Lock _gate = new();
    private readonly Dictionary<int, long> _seen = [];
    private long _replaced;

    /// <summary>What becomes of a vCPU that cannot go on by itself.</summary>
    public VcpuAction Stopped(VcpuStop stop) => stop.Kind == VcpuStopKind.MemoryFault && GoesOn(stop.Vcpu) ? VcpuAction.Continue : stopped(stop);

    private bool GoesOn(int vcpu)
    {
        lock (_gate)
        {
            foreach (MissingMemory missing in replace())
            {
                _replaced++;
                events.Notice("vfio.memory-missing", string.Create(CultureInfo.InvariantCulture,
                    $"{missing.Region} has no memory at 0x{missing.Offset:x}-0x{missing.Offset + missing.Size - 1:x}: the guest reads all-ones there, and what "
                        + $"it writes there reaches no device."));
            }

            bool isNew = _seen.GetValueOrDefault(vcpu) != _replaced;
            _seen[vcpu] = _replaced;
            return isNew;
        }
    }
}
