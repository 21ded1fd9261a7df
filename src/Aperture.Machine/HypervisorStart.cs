using System.Runtime.ExceptionServices;
using Aperture.Hypervisor;

namespace Aperture.Machine;

/// <summary>
/// Makes the VM and its vCPUs on a thread of its own while the caller plans the machine and builds its board: KVM's interrupt controllers and timer
/// take milliseconds of waiting. A failure is kept until its result is asked for, so that what the user got wrong is told first.
/// </summary>
internal sealed class HypervisorStart : IDisposable
{
    private readonly Thread _thread;
    private readonly ManualResetEventSlim _hasVm = new();

    // Written by the thread: the first before it sets _hasVm, all before it ends; read after waiting for that.
    private IVm? _vm;
    private IExitSource? _exits;
    private ExceptionDispatchInfo? _failure;

    /// <summary>Starts making a VM; <paramref name="hypervisor"/> stays the caller's and has to live longer.</summary>
    public HypervisorStart(IHypervisor hypervisor)
    {
        _thread = new Thread(() => Make(hypervisor)) { Name = "vm-start" };
        _thread.Start();
    }

    /// <summary>Waits for the VM. It lives until this object is disposed.</summary>
    /// <exception cref="ApertureException">The host refused.</exception>
    public IVm WaitForVm()
    {
        _hasVm.Wait();
        if (_vm is null)
        {
            _failure!.Throw();
        }

        return _vm;
    }

    /// <summary>Waits for what exits come from. It is the caller's from here on.</summary>
    /// <exception cref="ApertureException">The host refused.</exception>
    public IExitSource TakeExits()
    {
        _thread.Join();
        _failure?.Throw();
        IExitSource taken = _exits ?? throw new InvalidOperationException("the exits were taken before");
        _exits = null;
        return taken;
    }

    /// <summary>Waits for the thread, and gives back the VM, and the source of exits if nobody took it.</summary>
    public void Dispose()
    {
        _thread.Join();
        _exits?.Dispose();
        _vm?.Dispose();
        _hasVm.Dispose();
    }

    private void Make(IHypervisor hypervisor)
    {
        try
        {
            _vm = hypervisor.CreateVm();
            _hasVm.Set();
            _exits = _vm.PrepareExits();
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
