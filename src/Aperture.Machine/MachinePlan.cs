using Aperture.Board.Pc;
using Aperture.Configuration;
using Aperture.Hypervisor;
using Aperture.Machine.Boot;
using Aperture.Machine.Kinds;
using Aperture.Machine.Topology;
using Aperture.Memory;
using Aperture.Pci;
using Aperture.Placement.Map;
using Aperture.Placement.Platforms;

namespace Aperture.Machine;

/// <summary>
/// Everything about a machine that can be decided without a hypervisor: the PCI tree, where everything goes, and the files it boots from. Making one is the
/// check of a configuration: what is wrong with the command line is found here, before anything is started.
/// </summary>
public sealed class MachinePlan : IDisposable
{
    private readonly OwnedParts _parts = new();

    private MachinePlan(MachineConfig config, HypervisorLimits limits)
    {
        Config = config;
        Limits = limits;
        Kind = MachineKind.Of(config.Board);
        Kind.Check(config);
        Reserved = PlacementInput.Kept(limits);
        Topology = MachineTopology.Of(config, limits);
        DebugExits = DebugExitPorts.Read(config);
        DebugConsoleFiles = DebugConsolePorts.Read(config);
        HasTestDevice = PcTestDevicePorts.Read(config);
        try
        {
            // Files before addresses: a kernel that is not there is the simpler story.
            KernelFiles? files = config.Kernel is null ? null : _parts.Own(KernelFiles.Open(config));
            Firmware = config.Firmware is { } image ? _parts.Own(FirmwareImage.Load(image)) : null;
            if (Firmware is not null && config.Variables is { } variables)
            {
                VariableBank.Check(variables.Path, variables.Source, Firmware.Size);
            }

            HasManagementMode = ManagementModeChoice.Make(config, Firmware, limits);
            Map = Topology.Result.Require();
            Boot = files is null || Firmware is not null ? null : Kind.Start(config, Map, files, limits);

            Pins = PinsOf(config, Map);

            // Test kernels read the number of processors and the RAM where firmware does.
            FirmwareBoot = Firmware is { } started ? _parts.Own(new FirmwareBoot(config, Map, files, Root, started.Size, Reserved, Pins))
                : HasTestDevice ? _parts.Own(new FirmwareBoot(config, Map, null, Root, 0, Reserved, Pins))
                : null;
        }
        catch
        {
            Dispose();
            throw;
        }
    }

    /// <summary>Where everything goes.</summary>
    public PlacementMap Map { get; }

    /// <summary>What the machine was planned from.</summary>
    public MachineConfig Config { get; }

    /// <summary>What the hypervisor says of the guest's address space.</summary>
    public HypervisorLimits Limits { get; }

    /// <summary>The functions on the root bus.</summary>
    public IReadOnlyList<TopologyNode> Root => Topology.Root;

    /// <summary>The tree, what the solver was asked, and the host's devices in it.</summary>
    public MachineTopology Topology { get; }

    /// <summary>What the hypervisor keeps for itself.</summary>
    internal IReadOnlyList<ReservedRange> Reserved { get; }

    /// <summary>From when on pins are in force.</summary>
    internal PinTiming Pins { get; }

    internal IReadOnlyList<ushort> DebugExits { get; }

    internal IReadOnlyList<(ushort Port, string Path)> DebugConsoleFiles { get; }

    internal bool HasTestDevice { get; }

    internal RamBlock? Firmware { get; }

    internal bool HasManagementMode { get; }

    internal MachineKind Kind { get; }

    internal KernelStart? Boot { get; }

    internal FirmwareBoot? FirmwareBoot { get; }

    /// <summary>Plans <paramref name="config"/> for a guest of a hypervisor with <paramref name="limits"/>.</summary>
    /// <exception cref="ApertureException">The configuration contradicts itself, does not fit into the address map, or names a file that cannot be
    /// booted.</exception>
    public static MachinePlan Create(MachineConfig config, HypervisorLimits limits) => new(config, limits);

    // No firmware keeps a pinned device working that does not answer where it was put, so pins wait for the operating system by themselves.
    private static PinTiming PinsOf(MachineConfig config, PlacementMap map) =>
        config.Firmware is null ? PinTiming.Always
        : config.Pins ?? (map.Functions.Any(f => f.Demand.Bars.Any(b => b.Pin is not null)) ? PinTiming.Handover : PinTiming.Always);

    /// <inheritdoc/>
    public void Dispose() => _parts.Dispose();
}
