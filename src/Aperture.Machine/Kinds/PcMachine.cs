using Aperture.Board;
using Aperture.Board.Pc;
using Aperture.Configuration;
using Aperture.Firmware.FwCfg;
using Aperture.Hypervisor;
using Aperture.Hypervisor.X86;
using Aperture.Machine.Boot;
using Aperture.Machine.Topology;
using Aperture.Placement.Map;

namespace Aperture.Machine.Kinds;

/// <summary>A PC, by either of its chipsets.</summary>
internal sealed class PcMachine : MachineKind
{
    private PcMachine()
    {
    }

    /// <summary>The one there is.</summary>
    public static PcMachine Instance { get; } = new();

    /// <inheritdoc/>
    public override EntryState FirmwareEntry => BootState.ResetVector;

    /// <inheritdoc/>
    public override void Check(MachineConfig config)
    {
        // Every option is there for PCs.
    }

    /// <inheritdoc/>
    public override KernelStart Start(MachineConfig config, PlacementMap map, KernelFiles files, HypervisorLimits limits) =>
        new DirectBoot(config, map, files, PlacementInput.Kept(limits));

    /// <inheritdoc/>
    public override MachineBoard Build(BoardParts parts, MachineSite site)
    {
        MachinePlan plan = site.Plan;
        SmiFeatures? smi = plan.HasManagementMode ? new SmiFeatures() : null;
        PcBoard pc = site.Owned.Own(new PcBoard(parts, new PcParts(site.Ram, plan.Limits.PhysicalAddressBits, site.Vm.Line, site.Requests, site.Clock)
        {
            Kind = plan.Config.Board,
            Firmware = plan.Firmware,
            Variables = OpenVariables(site),
            Configuration = plan.FirmwareBoot is { } firmware
                ? board => firmware.Items(board, smi, sentence => site.Events.Write("firmware.tables", json => json.WriteString("note", sentence)))
                : null,
            Management = smi is null ? null : new ManagementMode(site.Requests.RaiseSmi, smi),
            Cpus = plan.Config.Cpus,
            Serial = site.Console,
            DebugConsoles = site.DebugConsoles.Ports,
            DebugExitPorts = plan.DebugExits,
            HasTestDevice = plan.HasTestDevice,
            Reserved = plan.Reserved,
        }));
        return new MachineBoard(pc.Board, pc.Serial, pc.PowerManagement.PressPowerButton) { Management = pc.Management };
    }

    private static VariableBank? OpenVariables(MachineSite site) => site.Plan.Config.Variables is { } flash
        ? site.Owned.Own(VariableBank.Open(
            flash.Path, flash.Template, flash.Snapshot, sentence => site.Events.Write("flash.failed", json => json.WriteString("reason", sentence))))
        : null;
}
