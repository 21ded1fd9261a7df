using System.Runtime.ExceptionServices;
using Aperture.Board;
using Aperture.Kvm;
using Aperture.Kvm.X86;

namespace Aperture.Machine;

/// <summary>
/// Makes the VM and its vCPUs on a thread of its own while the caller plans the machine and builds its board: KVM's interrupt controllers and timer
/// take milliseconds of waiting. A failure is kept until its result is asked for, so that what the user got wrong is told first.
/// </summary>
internal sealed class HypervisorStart : IDisposable
{
    private readonly Thread _thread;
    private readonly ManualResetEventSlim _hasVm = new();
    private readonly CpuBus[] _buses;

    // Written by the thread: the first before it sets _hasVm, all before it ends; read after waiting for that.
    private KvmVm? _vm;
    private VcpuGroup? _vcpus;
    private ExceptionDispatchInfo? _failure;

    /// <summary>Starts making a VM with <paramref name="cpus"/> vCPUs, whose stops go to <paramref name="stopped"/>.</summary>
    public HypervisorStart(KvmSystem system, CpuidTable cpuid, int cpus, Func<VcpuStop, VcpuAction> stopped)
    {
        _buses = new CpuBus[cpus];
        for (int i = 0; i < cpus; i++)
        {
            _buses[i] = new CpuBus(stopped);
        }

        _thread = new Thread(() => Make(system, cpuid)) { Name = "kvm-start" };
        _thread.Start();
    }

    /// <summary>Waits for the VM. It lives until this object is disposed.</summary>
    /// <exception cref="ApertureException">KVM refused.</exception>
    public KvmVm WaitForVm()
    {
        _hasVm.Wait();
        if (_vm is null)
        {
            _failure!.Throw();
        }

        return _vm;
    }

    /// <summary>Waits for the vCPUs, stopped, and ties them to <paramref name="board"/>. They are the caller's from here on.</summary>
    /// <exception cref="ApertureException">KVM refused.</exception>
    public VcpuGroup TakeVcpus(PciBoard board)
    {
        _thread.Join();
        foreach (CpuBus bus in _buses)
        {
            bus.Connect(board);
        }

        _failure?.Throw();
        VcpuGroup taken = _vcpus!;
        _vcpus = null;
        return taken;
    }

    /// <summary>Waits for the thread, and gives back the VM, and the vCPUs if nobody took them.</summary>
    public void Dispose()
    {
        _thread.Join();
        _vcpus?.Dispose();
        _vm?.Dispose();
        _hasVm.Dispose();
    }

    private void Make(KvmSystem system, CpuidTable cpuid)
    {
        try
        {
            _vm = system.CreateVm(new KvmVmOptions());
            _hasVm.Set();
            _vcpus = _vm.CreateVcpus(_buses.Length, cpuid, index => _buses[index]);
        }
        catch (Exception failure)
        {
            _failure = ExceptionDispatchInfo.Capture(failure);
        }
        finally
        {
            _hasVm.Set();
        }
    }
}
