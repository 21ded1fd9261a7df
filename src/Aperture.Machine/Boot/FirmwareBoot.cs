using Aperture.Board.Pc;
using Aperture.Configuration;
using Aperture.Configuration.Kinds;
using Aperture.Devices.FwCfg;
using Aperture.Firmware.Boot;
using Aperture.Firmware.FwCfg;
using Aperture.Firmware.Memory;
using Aperture.Machine.Topology;
using Aperture.Pci;
using Aperture.Placement.Map;
using Aperture.Placement.Platforms;

namespace Aperture.Machine.Boot;

/// <summary>What firmware is told of its machine through its configuration device.</summary>
internal sealed class FirmwareBoot : IDisposable
{
    // OVMF's images are 2 and 4 MiB and start a kernel by themselves.
    private const ulong LargestLegacyImage = 1 << 20;

    private readonly MachineConfig _config;
    private readonly PlacementMap _map;
    private readonly bool _takesPlan;
    private readonly IReadOnlyList<TopologyNode> _root;
    private readonly IReadOnlyList<ReservedRange> _reserved;
    private readonly FirmwareKernel? _kernel;
    private readonly BootFile? _kernelRom;
    private readonly bool _isLegacy;

    /// <summary>
    /// Prepares the parts that need no board. <paramref name="files"/>, if any, must stay open; the guest is told to leave <paramref name="reserved"/> alone,
    /// and of firmware's map or the plan, whichever <paramref name="pins"/> says that it will find.
    /// </summary>
    /// <exception cref="ApertureException">The kernel cannot be started by firmware, or what that takes is not installed.</exception>
    public FirmwareBoot(
        MachineConfig config, PlacementMap map, KernelFiles? files, IReadOnlyList<TopologyNode> root, ulong imageSize, IReadOnlyList<ReservedRange> reserved,
        PinTiming pins)
    {
        _root = root;
        _reserved = reserved;
        _config = config;
        _map = map;
        _takesPlan = pins == PinTiming.Handover;
        _isLegacy = imageSize <= LargestLegacyImage;
        if (files is not null)
        {
            _kernel = new FirmwareKernel(files.Kernel, files.Initramfs, config.CommandLine);
            _kernelRom = _isLegacy ? LinuxBootRom.Open(config.Firmware!) : null;
        }
    }

    /// <summary>What firmware finds in the configuration device of <paramref name="board"/>, in its reset state.</summary>
    /// <exception cref="ApertureException">The machine cannot be described.</exception>
    public FwCfgItems Items(PcBoard board, SmiFeatures? smi, Action<string> report)
    {
        FirmwareItemSet set = FirmwareItems.Build(new FirmwareConfiguration
        {
            Platform = () => BoardDescription.UnderFirmware(_config, board, _map, _takesPlan),
            Reservations = [.. _reserved.Select(r => new MemoryMapEntry(r.Range, MemoryKind.Reserved))],
            MaxProcessors = _config.Cpus,
            BootMenu = _config.BootMenu is not null,
            BootMenuWait = _config.BootMenu,
            BootOrder = BootOrder(_root),

            // OVMF's window is the highest part of the address space, wherever this is, unless it leaves no room for that: then OVMF falls back to 32 GiB.
            // And pins that wait for the handover are in no firmware's way.
            ReservedMemoryEnd = _isLegacy && !_takesPlan ? ClearOfPins.From(_map) : null,
            Kernel = _kernel,
            OptionRoms = _kernelRom is null ? new Dictionary<string, BootFile>() : new Dictionary<string, BootFile> { [LinuxBootRom.Name] = _kernelRom },
            Smi = smi,
            Report = report,
        });
        FwCfgItems items = new();
        foreach ((ushort key, IFirmwareItem item) in set.Keys)
        {
            items.Set(key, item);
        }

        foreach ((string name, IFirmwareItem item) in set.Files)
        {
            items.SetFile(name, item);
        }

        return items;
    }

    private static List<string> BootOrder(IReadOnlyList<TopologyNode> root)
    {
        List<(int Index, string Path)> disks = [];
        Visit(root, []);
        return [.. disks.OrderBy(d => d.Index).Select(d => d.Path)];

        void Visit(IReadOnlyList<TopologyNode> bus, IReadOnlyList<Bdf> above)
        {
            foreach (TopologyNode node in bus)
            {
                IReadOnlyList<Bdf> path = [.. above, new Bdf(node.DeviceFunction)];
                if ((node.Device as DiskSpec)?.BootIndex is { } index)
                {
                    disks.Add((index, OpenFirmwarePath.VirtioBlock(path)));
                }

                Visit(node.Children, path);
            }
        }
    }

    /// <inheritdoc/>
    public void Dispose() => _kernelRom?.Dispose();
}
