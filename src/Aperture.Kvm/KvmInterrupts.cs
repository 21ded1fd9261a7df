using Aperture.Hypervisor;
using Aperture.Linux;

namespace Aperture.Kvm;

/// <summary>Ties event descriptors to KVM's interrupt controllers: a signal reaches the guest without this process.</summary>
/// <param name="vm">The virtual machine.</param>
internal sealed class KvmInterrupts(KvmVm vm) : IGuestInterrupts
{
    /// <inheritdoc/>
    public bool Takes(MsiMessage message) => vm.Takes(message.Address);

    /// <inheritdoc/>
    public IMessageRoute? Reserve()
    {
        try
        {
            return new Route(vm, vm.Routes.Allocate());
        }
        catch (ApertureException)
        {
            return null;
        }
    }

    /// <inheritdoc/>
    public bool TryRoute(ReadOnlySpan<RoutedMessage> changes)
    {
        try
        {
            using (vm.Routes.BeginBatch())
            {
                foreach (RoutedMessage change in changes)
                {
                    vm.Routes.Set(((Route)change.Route).Gsi, change.Message, vm.DeviceId(change.Requester));
                }
            }

            return true;
        }
        catch (ApertureException)
        {
            return false;
        }
    }

    /// <inheritdoc/>
    public IDisposable? ConnectLevel(EventFd trigger, EventFd resample, uint gsi, uint? isa)
    {
        if (vm.Routes.JoinWire(gsi, isa) is not { } number)
        {
            return null;
        }

        try
        {
            vm.AddIrqfd(trigger, number, resample);
            return new Input(vm, trigger, gsi, number);
        }
        catch (ApertureException)
        {
            vm.Routes.LeaveWire(gsi);
            return null;
        }
    }

    // One owner at a time.
    private sealed class Route(KvmVm vm, uint gsi) : IMessageRoute
    {
        private EventFd? _trigger;
        private bool _ended;

        public uint Gsi => gsi;

        public bool TryConnect(EventFd trigger)
        {
            try
            {
                vm.AddIrqfd(trigger, gsi);
                _trigger = trigger;
                return true;
            }
            catch (ApertureException)
            {
                return false;
            }
        }

        public void Disconnect()
        {
            if (_trigger is { } trigger)
            {
                _trigger = null;
                vm.RemoveIrqfd(trigger, gsi);
            }
        }

        public void Dispose()
        {
            if (!_ended)
            {
                _ended = true;
                Disconnect();
                vm.Routes.Free(gsi);
            }
        }
    }

    private sealed class Input(KvmVm vm, EventFd trigger, uint gsi, uint number) : IDisposable
    {
        private int _ended;

        public void Dispose()
        {
            if (Interlocked.Exchange(ref _ended, 1) == 0)
            {
                vm.RemoveIrqfd(trigger, number);
                vm.Routes.LeaveWire(gsi);
            }
        }
    }
}
