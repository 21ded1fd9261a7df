using Aperture.Assignment;
using Aperture.Board;
using Aperture.Board.Pc;
using Aperture.Configuration;
using Aperture.Devices.Display;
using Aperture.Hypervisor;
using Aperture.Linux;
using Aperture.Machine.Assigned;
using Aperture.Machine.Console;
using Aperture.Machine.Control;
using Aperture.Machine.Functions;
using Aperture.Machine.Hotplug;
using Aperture.Machine.Kinds;
using Aperture.Machine.Topology;
using Aperture.Machine.Verification;
using Aperture.Memory;
using Aperture.Watch;

namespace Aperture.Machine;

/// <summary>What a machine in one piece consists of, as far as its life needs to know.</summary>
/// <param name="Plan">What it was made from.</param>
/// <param name="Vm">The VM.</param>
/// <param name="Exits">The guest's exits, and the vCPUs where they are this machine's.</param>
/// <param name="Ram">Guest RAM.</param>
/// <param name="Made">The board, with what the machine needs of it.</param>
/// <param name="Requests">What is asked of the machine.</param>
/// <param name="Supervision">What watches over it.</param>
/// <param name="Serial">What the serial port is connected to.</param>
/// <param name="Screen">What the display shows, for the host.</param>
/// <param name="Events">Where what happens is reported.</param>
internal sealed record MachineParts(
    MachinePlan Plan,
    IVm Vm,
    IExits Exits,
    GuestRam Ram,
    MachineBoard Made,
    MachineRequests Requests,
    Supervision Supervision,
    SerialConnection Serial,
    ScreenOutput Screen,
    EventHub Events)
{
    /// <summary>The board.</summary>
    public PciBoard Board => Made.Board;
}

/// <summary>Puts a machine together.</summary>
internal static class MachineAssembly
{
    /// <summary>
    /// The machine of <paramref name="plan"/>, stopped, on the hypervisor whose VM is being made meanwhile. The order is the one in which parts need each
    /// other: host files, then the VM's interrupts for the board, then the board for who answers exits, then the vCPUs for who changes memory under them.
    /// </summary>
    /// <param name="plan">What to make.</param>
    /// <param name="start">The VM, in the making.</param>
    /// <param name="clock">Time.</param>
    /// <param name="events">Where what happens is told.</param>
    /// <param name="files">Opens what the machine writes.</param>
    /// <param name="parts">Gets every part that ends with the machine, also when it cannot be finished.</param>
    /// <exception cref="ApertureException">A file cannot be opened, or the host refuses.</exception>
    /// <exception cref="OperationCanceledException">The wait for a pipe's reader was cancelled.</exception>
    public static MachineParts Assemble(MachinePlan plan, HypervisorStart start, TimeProvider clock, EventHub events, OutputFiles files, OwnedParts parts)
    {
        MachineConfig config = plan.Config;
        GuestRam ram = parts.Own(GuestRam.Create(RamLayout.Planned(plan.Map.Ram), config.HugePages ? RamPages.Huge2M : RamPages.Ordinary, config.SharesMemory));
        IReadOnlyList<AssignedPart> hosts = [.. plan.Topology.Assigned.Where(static part => part.Served is null)];
        if (hosts.Count > 0)
        {
            // All of it is pinned once the devices are there.
            parts.Own(new RamPopulation(ram.Block));
        }

        if (config.EventsPath is { } path)
        {
            parts.Own(events.Subscribe(EventLog.Open(path, files, events)));
        }

        SerialConnection serial = parts.Own(SerialConnection.Open(config, files, events));
        DebugConsoles consoles = parts.Own(DebugConsoles.Open(plan.DebugConsoleFiles, files, sentence => events.Notice("debugcon.stalled", sentence)));
        IVm vm = start.WaitForVm();
        MachineRequests requests = parts.Own(new MachineRequests([.. serial.Outputs, .. consoles.Outputs]));
        clock = new GuardedClock(clock, requests.Fail);
        DeviceReturn returns = new(events);
        AssignedNotices notices = new(events, returns.Begin, requests.Fail);
        PassedDescriptors passed = new();
        HostDevices devices = parts.Own(new HostDevices(config.Vfio, hosts, passed, vm, notices, events));
        ServedDevices served = new(ram.Block, vm.EventInterrupts ?? RelayedInterrupts.Instance, notices, events);
        BoardNodes nodes = new(
        [
            new TestFunctionMaker(),
            new PcDeviceMaker(sentence => events.Write("disk.failed", json => json.WriteString("reason", sentence)), requests.Fail),
            served,
            devices,
        ]);
        BoardParts wanted = new(plan.Map, nodes.Of(plan.Root), vm, events) { Pins = plan.Pins };
        MachineBoard made = plan.Kind.Build(wanted, new MachineSite(plan, ram, vm, requests, clock, serial.Backend, consoles, events, parts));
        PciBoard board = made.Board;
        ScreenOutput screen = parts.Own(new ScreenOutput(config, board.Pci.Root.Functions.OfType<StandardVga>().FirstOrDefault(), files, clock, Collected));

        // Between the end of the exits and the devices' closing: nothing may reach a device that is given back.
        parts.Own(new Quiescence(board, devices, served));
        GrantFaultHandler faults = new(served.Repair, requests.Stopped);
        MissingMemoryHandler missing = new(() => [.. devices.ReplaceMissing(), .. served.ReplaceMissing()], events, faults.Stopped);
        IExits exits = parts.Own(start.TakeExits().Begin(_ => new CpuBus(board, missing.Stopped, made.Management)));
        if (exits.Vcpus is { } vcpus)
        {
            requests.Stops(vcpus);
            board.Memory.Barrier = vcpus;
        }

        SlotListener? slots = FollowBoard(vm, board, events);
        if (made.Management is { } management && vm.ManagementSlots is { } table)
        {
            SlotListener own = new(table);
            management.AddListener(own);
            management.AddListener(new SlotEvents(own, events, "smm"));
        }

        devices.Follow(board.Memory);
        served.Follow(board.Memory);
        AssignedMappings mappings = new(() => devices.Iommu, () => served.Mappings);
        Supervision supervision = parts.Own(new Supervision(board, nodes, slots, plan, events, clock, requests, mappings));
        supervision.Hotplug.Made = devices.ResetNew;
        parts.Own(returns).Serve(supervision.Hotplug);
        if (config.ControlPath is { } control)
        {
            supervision.Listen(control, passed, made.PressPowerButton);
        }

        return new MachineParts(plan, vm, exits, ram, made, requests, supervision, serial, screen, events);

        // A bus each time: any thread may look, and a lookup cache is one thread's own.
        void Collected() => vm.PostedWrites?.Deliver(new CpuBus(board, static _ => VcpuAction.Park));
    }

    // From here on the VM has what the board's address spaces show.
    private static SlotListener? FollowBoard(IVm vm, PciBoard board, EventHub events)
    {
        SlotListener? slots = null;
        if (vm.Slots is { } table)
        {
            slots = new SlotListener(table);
            board.Memory.AddListener(slots);
            board.Memory.AddListener(new SlotEvents(slots, events));
        }

        if (vm.ExitRanges is { } ranges)
        {
            board.Memory.AddListener(ranges.Memory);
            board.Ports.AddListener(ranges.Ports);
        }

        if (vm.PostedWrites is { } posted)
        {
            board.Memory.AddListener(new PostedWriteListener(posted));
        }

        return slots;
    }

    /// <summary>Takes every BAR from the guest and the devices' DMA mappings, and resets the devices.</summary>
    private sealed class Quiescence(PciBoard board, HostDevices devices, ServedDevices served) : IDisposable
    {
        public void Dispose()
        {
            served.End();
            if (devices.Iommu is not null || served.Any)
            {
                board.Reset();
            }
        }
    }
}
