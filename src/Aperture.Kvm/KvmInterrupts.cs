using Aperture.Hypervisor;
using Aperture.Linux;

namespace Aperture.Kvm;

/// <summary>Ties event descriptors to KVM's interrupt controllers: a signal reaches the guest without this process.</summary>
/// <param name="vm">The virtual machine.</param>
internal sealed class KvmInterrupts(KvmVm vm) : IGuestInterrupts
{
    /// <inheritdoc/>
    public IMessageRoute? Connect(EventFd trigger, MsiMessage message)
    {
        uint gsi;
        try
        {
            gsi = vm.Routes.Allocate();
        }
        catch (ApertureException)
        {
            return null;
        }

        try
        {
            vm.Routes.Set(gsi, message);
            vm.AddIrqfd(trigger, gsi);
            return new Route(vm, trigger, gsi);
        }
        catch (ApertureException)
        {
            vm.Routes.Free(gsi);
            return null;
        }
    }

    /// <inheritdoc/>
    public IDisposable? ConnectLevel(EventFd trigger, EventFd resample, uint gsi)
    {
        try
        {
            vm.AddIrqfd(trigger, gsi, resample);
            return new Input(vm, trigger, gsi);
        }
        catch (ApertureException)
        {
            return null;
        }
    }

    private sealed class Route(KvmVm vm, EventFd trigger, uint gsi) : IMessageRoute
    {
        private int _ended;

        public void Change(MsiMessage message) => vm.Routes.Set(gsi, message);

        public void Dispose()
        {
            if (Interlocked.Exchange(ref _ended, 1) == 0)
            {
                vm.RemoveIrqfd(trigger, gsi);
                vm.Routes.Free(gsi);
            }
        }
    }

    private sealed class Input(KvmVm vm, EventFd trigger, uint gsi) : IDisposable
    {
        private int _ended;

        public void Dispose()
        {
            if (Interlocked.Exchange(ref _ended, 1) == 0)
            {
                vm.RemoveIrqfd(trigger, gsi);
            }
        }
    }
}
