using Aperture.Devices.Serial;
using Aperture.Hypervisor;

namespace Aperture.Machine.Control;

/// <summary>
/// What is asked of a machine while it runs, by the guest through its devices and by the user: to reset, or to end. The first request wins, but one to end the
/// run replaces one to reset: it must not be lost in the reset. Thread-safe; asking returns at once.
/// </summary>
/// <param name="outputs">What vCPUs write to and may wait for. Nobody waits there while a request is to be followed, and the end does not once it was asked for
/// from outside.</param>
internal sealed class MachineRequests(params StreamSerialBackend[] outputs) : IMachineControl, IDisposable
{
    private readonly Lock _gate = new();
    private readonly ManualResetEventSlim _requested = new();

    // Under the gate.
    private PendingRequest? _request;
    private IVcpus? _vcpus;

    /// <summary>Has every request stop <paramref name="vcpus"/>, one that waits already included.</summary>
    public void Stops(IVcpus vcpus)
    {
        bool late;
        lock (_gate)
        {
            _vcpus = vcpus;
            late = _request is not null;
        }

        if (late)
        {
            vcpus.RequestStop();
        }
    }

    /// <summary>Raises a system management interrupt (<see cref="IVcpus.RaiseSmi"/>); there is no guest to take it before <see cref="Stops"/>.</summary>
    public void RaiseSmi(bool all)
    {
        IVcpus? vcpus;
        lock (_gate)
        {
            vcpus = _vcpus;
        }

        vcpus?.RaiseSmi(all);
    }

    /// <inheritdoc/>
    public void Request(MachineRequest request, int exitCode, string reason) => Request(new PendingRequest(request, exitCode, reason, Failed: false));

    /// <summary>Ends the run from outside, as pulling the plug does.</summary>
    public void Stop(string reason)
    {
        // Also when something else was asked before, and is being followed.
        Hurry();
        Request(MachineRequest.Exit, 0, reason);
    }

    /// <summary>Ends the run as a failure of the host's: the sentence reaches the user.</summary>
    public void Fail(string reason)
    {
        Hurry();
        Request(new PendingRequest(MachineRequest.Exit, ApertureException.HostFailure, reason, Failed: true));
    }

    /// <summary>What becomes of a vCPU that cannot go on by itself: it stays out of the guest, and the machine acts.</summary>
    public VcpuAction Stopped(VcpuStop stop)
    {
        switch (stop.Kind)
        {
            case VcpuStopKind.Shutdown or VcpuStopKind.Reset:
                Request(MachineRequest.Reset, 0, stop.Sentence);
                break;
            case VcpuStopKind.SystemEvent or VcpuStopKind.PowerOff:
                Request(MachineRequest.PowerOff, 0, stop.Sentence);
                break;
            default:
                Fail(stop.Sentence);
                break;
        }

        return VcpuAction.Park;
    }

    /// <summary>Waits for a request.</summary>
    public void Wait() => _requested.Wait();

    /// <summary>The request that waits, after <see cref="Wait"/>.</summary>
    public PendingRequest Current()
    {
        lock (_gate)
        {
            return _request ?? throw new InvalidOperationException("nothing was requested");
        }
    }

    /// <summary>The reset that was asked for is done. Whoever asked for the end meanwhile still gets it.</summary>
    public void ResetDone()
    {
        foreach (StreamSerialBackend output in outputs)
        {
            output.Resume();
        }

        lock (_gate)
        {
            if (_request is { Kind: MachineRequest.Reset })
            {
                _request = null;
                _requested.Reset();
                return;
            }
        }

        Release();
    }

    /// <inheritdoc/>
    public void Dispose() => _requested.Dispose();

    private void Release()
    {
        foreach (StreamSerialBackend output in outputs)
        {
            output.Release();
        }
    }

    private void Hurry()
    {
        foreach (StreamSerialBackend output in outputs)
        {
            output.Hurry();
        }
    }

    private void Request(PendingRequest request)
    {
        IVcpus? vcpus;
        lock (_gate)
        {
            if (_request is { } earlier && (earlier.Kind != MachineRequest.Reset || request.Kind == MachineRequest.Reset))
            {
                return;
            }

            _request = request;
            vcpus = _vcpus;
        }

        Release();

        // On a vCPU's thread this keeps that vCPU from entering the guest again, so nothing runs after the request.
        vcpus?.RequestStop();
        _requested.Set();
    }
}

/// <summary>A request that a machine has to follow.</summary>
/// <param name="Kind">What for.</param>
/// <param name="ExitCode">The process's exit code, should the run end.</param>
/// <param name="Reason">One sentence.</param>
/// <param name="Failed">The host or the guest failed.</param>
internal readonly record struct PendingRequest(MachineRequest Kind, int ExitCode, string Reason, bool Failed);
