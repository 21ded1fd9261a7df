using Aperture.Machine.Board;
using Aperture.Machine.Boot;
using Aperture.Configuration;
using Aperture.Machine.Topology;
using Aperture.Memory;
using Aperture.Pci;
using Aperture.Placement.Map;

namespace Aperture.Machine;

/// <summary>
/// Everything about a machine that can be decided without KVM: the PCI tree, where everything goes, and the files it boots from. Making one is the
/// check of a configuration: what is wrong with the command line is found here, before anything is started.
/// </summary>
public sealed class MachinePlan : IDisposable
{
    private readonly Stack<IDisposable> _parts = new();

    private MachinePlan(MachineConfig config, int physicalAddressBits)
    {
        PhysicalAddressBits = physicalAddressBits;
        Chipset = Chipsets.For(config.Board);
        Topology = MachineTopology.Of(config, physicalAddressBits);
        DebugExits = DebugExitPorts.Read(config);
        DebugConsoleFiles = DebugConsoles.Read(config);
        try
        {
            // Files before addresses: a kernel that is not there is the simpler story.
            KernelFiles? files = config.Kernel is null ? null : Own(KernelFiles.Open(config));
            Firmware = config.Firmware is { } image ? Own(FirmwareImage.Load(image)) : null;
            if (Firmware is not null && config.Variables is { } variables)
            {
                VariableBank.Check(variables, Firmware.Size);
            }

            Map = Topology.Result.Require();
            Boot = files is null || Firmware is not null ? null : new DirectBoot(config, Map, files);
            FirmwareBoot = Firmware is null ? null : Own(new FirmwareBoot(config, Map, files, Root, Firmware.Size));
        }
        catch
        {
            Dispose();
            throw;
        }
    }

    /// <summary>Where everything goes.</summary>
    public PlacementMap Map { get; }

    /// <summary>The guest's physical address width in bits.</summary>
    public int PhysicalAddressBits { get; }

    /// <summary>The functions on the root bus.</summary>
    public IReadOnlyList<TopologyNode> Root => Topology.Root;

    /// <summary>The tree, what the solver was asked, and the host's devices in it.</summary>
    public MachineTopology Topology { get; }

    internal Func<PciHierarchy, IEventSink, IChipset> Chipset { get; }

    internal IReadOnlyList<ushort> DebugExits { get; }

    internal IReadOnlyList<(ushort Port, string Path)> DebugConsoleFiles { get; }

    internal RamBlock? Firmware { get; }

    internal DirectBoot? Boot { get; }

    internal FirmwareBoot? FirmwareBoot { get; }

    /// <summary>Plans <paramref name="config"/> for a guest with <paramref name="physicalAddressBits"/>.</summary>
    /// <exception cref="ApertureException">The configuration contradicts itself, does not fit into the address map, or names a file that cannot be booted.</exception>
    public static MachinePlan Create(MachineConfig config, int physicalAddressBits) => new(config, physicalAddressBits);

    /// <inheritdoc/>
    public void Dispose()
    {
        while (_parts.TryPop(out IDisposable? part))
        {
            part.Dispose();
        }
    }

    private T Own<T>(T part)
        where T : IDisposable
    {
        _parts.Push(part);
        return part;
    }
}
