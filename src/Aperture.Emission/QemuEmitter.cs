using System.Globalization;
using Aperture.Pci;
using Aperture.Placement.Map;
using Aperture.Placement.Request;

namespace Aperture.Emission;

/// <summary>Writes a script that starts QEMU's q35 board with the planned topology.</summary>
internal sealed class QemuEmitter
{
    private const string Indent = "    ";
    private readonly ConfigText _text = ConfigText.Hash();
    private readonly EmissionPlan _plan;
    private readonly PlannedTree _tree;
    private int _ports;

    private QemuEmitter(EmissionPlan plan)
    {
        _plan = plan;
        _tree = PlannedTree.Of(plan.Map, "pcie.0");
    }

    /// <summary>The script.</summary>
    public static string Write(EmissionPlan plan) => new QemuEmitter(plan).Write();

    private string Write()
    {
        _text.Line("#!/usr/bin/env bash");
        _text.Comment("QEMU with the planned topology. Arguments of this script are added to QEMU's.");
        _text.Line("args=(");
        Board();
        for (int host = 0; host < _tree.Roots.Count; host++)
        {
            Functions(_tree.Roots[host], HostBus(host));
        }

        _text.Line(")");
        _text.Line();
        Gaps();
        _text.Gaps("QEMU");
        _text.Line();
        _text.Line("exec qemu-system-x86_64 \"${args[@]}\" \"$@\"");
        return _text.ToString();
    }

    private void Option(string name, string value) => _text.Line($"{Indent}-{name} {Words.Shell(value)}");

    private void Board()
    {
        string low = QemuLimits.MaxRamBelow4G(_plan.Request, _plan.Map) is { } limit ? $",max-ram-below-4g={QemuLimits.Size(limit)}" : "";
        _text.Line($"{Indent}-nodefaults");

        // The board's disk and SMBus controllers have BARs that no plan knows of.
        Option("machine", $"q35,sata=off,smbus=off{low}");
        Option("m", QemuLimits.Size(_plan.Request.Platform.RamSize));
        Option("global", $"q35-pcihost.pci-hole64-size={QemuLimits.Size(QemuLimits.Hole64(_plan.Map))}");
        if (QemuLimits.OvmfAperture(_plan.Map) is { } aperture)
        {
            _text.Comment("OVMF's 64-bit window in MiB; other firmware does not look at it.", Indent);
            Option("fw_cfg", string.Create(CultureInfo.InvariantCulture, $"name={QemuLimits.OvmfApertureName},string={aperture}"));
        }
    }

    /// <summary>The name of a host bridge's bus, or null when QEMU has no such bus.</summary>
    private string? HostBus(int index)
    {
        HostBridgePlacement host = _plan.Map.HostBridges[index];
        string what = $"{Words.Plain(host.Name)}, segment {Words.Hex(host.Segment, 4)}, buses {host.FirstBus:x2}-{host.LastBus:x2}";
        if (index == 0)
        {
            _text.Comment($"{what}: the board's pcie.0", Indent);
            if (host.FirstBus != 0 || host.Segment != 0)
            {
                _text.Gap($"{what}: q35's own bus is bus 00 of segment 0.");
            }

            return "pcie.0";
        }

        int device = Enumerable.Range(1, 30).FirstOrDefault(d => !_tree.Roots[0].Exists(f => f.Address.Device == d));
        device += Enumerable.Range(1, index - 1).Count(i => IsExpander(i));
        if (!IsExpander(index) || device is 0 or > 30 || _tree.Roots[0].Exists(f => f.Address.Device == device))
        {
            _text.Gap($"{what}: QEMU has one segment, and an extra root bus needs a free device on bus 00 and a first bus above 00; nothing below it is "
                + $"written.");
            _text.Comment($"{what}: not written", Indent);
            return null;
        }

        _text.Comment($"{what}: an extra root bus, itself at 00:{device:x2}.0, which the plan does not have", Indent);
        Option("device", string.Create(
            CultureInfo.InvariantCulture, $"pxb-pcie,id={_tree.HostIds[index]},bus=pcie.0,addr=0x{device:x},bus_nr={host.FirstBus}"));
        return _tree.HostIds[index];
    }

    private bool IsExpander(int index) => _plan.Map.HostBridges[index] is { Segment: 0, FirstBus: > 0 };

    private void Functions(List<PlannedFunction> functions, string? bus)
    {
        foreach (PlannedFunction planned in functions)
        {
            _text.Comment($"{planned.Title}: {planned.Kind}", Indent);
            string? below = bus is null || planned.Role == FunctionRole.Board ? null : Device(planned, bus);
            Functions(planned.Children, below);
        }
    }

    /// <summary>Writes a function; returns the bus behind it.</summary>
    private string? Device(PlannedFunction planned, string bus)
    {
        if (planned.Parent is { Role: not FunctionRole.SwitchUpstream } && planned.Address.Device != 0)
        {
            _text.Gap($"{planned.Title}: below a port QEMU takes device 00 only; it and what lies below it are not written.");
            return null;
        }

        if (planned is { HostIndex: 0, Parent: null, Address.Device: 0 } or { HostIndex: 0, Parent: null, Address: { Device: 0x1F, Function: 0 } })
        {
            _text.Gap($"{planned.Title}: q35 has a function of its own there; it and what lies below it are not written.");
            return null;
        }

        string shares = planned.SharesDevice ? ",multifunction=on" : "";
        string place = $"bus={bus},addr={Words.Hex((ulong)planned.Address.Device, 2)}.{planned.Address.Function}{shares}";
        if (planned.Function.Bridge is not { } bridge)
        {
            Endpoint(planned, place);
            return null;
        }

        string id = $"{QemuPorts.Driver(planned.Role)},id={planned.Id},{place}";
        switch (planned.Role)
        {
            case FunctionRole.RootPort:
                string reserves = string.Concat(
                    QemuPorts.Reserves(bridge).Select(r => $",{r.Name}={(QemuPorts.IsSize(r.Name) ? QemuLimits.Size(r.Value) : r.Value)}"));
                Option("device", $"{id},{QemuPorts.Numbers(planned, _ports++)}{reserves}");
                break;
            case FunctionRole.SwitchDownstream:
                Option("device", $"{id},{QemuPorts.Numbers(planned, _ports++)}");
                break;
            default:
                Option("device", id);
                break;
        }

        return planned.Id;
    }

    private void Endpoint(PlannedFunction planned, string place)
    {
        if (_plan.HostAddresses.TryGetValue(planned.Function.Name, out string? host))
        {
            Option("device", $"vfio-pci,id={planned.Id},{place},host={host.Replace(",", ",,", StringComparison.Ordinal)}");
            return;
        }

        if (QemuDevice.Like(planned.Function) is not { } device)
        {
            _text.Comment($"-device vfio-pci,host=DDDD:BB:DD.F,{place}", Indent);
            _text.Gap($"{planned.Title}: QEMU emulates no device with such BARs ({planned.Kind}); its place is left empty, the comment shows how a host device "
                + $"goes there.");
            return;
        }

        string memory = "";
        if (device.SharedMemory is { } size)
        {
            Option("object", $"memory-backend-ram,id={planned.Id}-ram,size={QemuLimits.Size(size)},share=on,reserve=off");
            memory = $",memdev={planned.Id}-ram";
        }

        int comma = device.Driver.IndexOf(',', StringComparison.Ordinal);
        string driver = comma < 0 ? device.Driver : device.Driver[..comma];
        string properties = comma < 0 ? "" : device.Driver[comma..];
        Option("device", $"{driver},id={planned.Id},{place}{properties}{memory}");
        Compare(planned, driver, device);
    }

    private void Compare(PlannedFunction planned, string driver, QemuDevice device)
    {
        Dictionary<int, QemuBar> pairs = device.Match(planned.Function);
        foreach (BarPlacement bar in planned.Function.Bars)
        {
            if (!pairs.TryGetValue(bar.Demand.Index, out QemuBar mine) || BarIndex.IsVf(bar.Demand.Index))
            {
                _text.Gap($"{planned.Title}: {PlannedFunction.Describe(bar)} has no equal in {driver}, which stands for the device.");
            }
            else if (mine.Index != bar.Demand.Index)
            {
                _text.Gap($"{planned.Title}: {PlannedFunction.Describe(bar)} is bar{mine.Index} of {driver}, which stands for the device.");
            }
        }

        foreach (QemuBar extra in device.Bars.Where(b => !pairs.ContainsValue(b)))
        {
            _text.Gap($"{planned.Title}: {driver}, which stands for the device, also has "
                + $"bar{extra.Index} {extra.Kind.Keyword()} {ByteSize.Format(extra.Size)}.");
        }
    }

    private void Gaps()
    {
        PlacementMap map = _plan.Map;
        if (_tree.All.Exists(f => f.Role == FunctionRole.RootPort))
        {
            _text.Gap("Each root port of QEMU has a bar0 mem32 4K of its own.");
        }

        foreach (PlannedFunction port in _tree.All.Where(
            f => f.Role is FunctionRole.SwitchUpstream or FunctionRole.SwitchDownstream && f.Function.Demand.Bridge?.Reserve is not null))
        {
            _text.Gap($"{port.Title}: room for hotplug; only root ports tell firmware of it.");
        }

        foreach (PlannedFunction bridge in _tree.All.Where(f => f.Function is { Bridge: not null, Bars.Count: > 0 }))
        {
            _text.Gap($"{bridge.Title}: {string.Join(", ", bridge.Function.Bars.Select(PlannedFunction.Describe))} of the bridge itself.");
        }

        SharedGaps.Pins(_text, _tree);
        SharedGaps.Capabilities(_text, _tree);
        ulong low = QemuLimits.LowRam(_plan.Request, map);
        if (low != map.Ram.Low.Size)
        {
            _text.Gap($"low RAM of {ByteSize.Format(map.Ram.Low.Size)}: the board has {ByteSize.Format(low)} and the rest from 4 GiB; max-ram-below-4g only "
                + $"lowers that.");
        }

        _text.Gap($"the low hole from {map.Ram.LowHoleStart}: firmware chooses its window above low RAM.");
        foreach (EcamPlacement ecam in map.Ecams.Where(e => e.Segment != 0 || e.Range.Start.Value != 0xB000_0000 || e.Range.Size != 256UL << 20))
        {
            _text.Gap($"ECAM of segment {ecam.Segment} at {ecam.Range}: firmware puts the one it has, 256M, at 0xb0000000.");
        }

        SharedGaps.Ovmf(_text, map);
        SharedGaps.RamPieces(_text, map);
        SharedGaps.Reserved(_text, _plan.Request);
        _text.Gap($"{_plan.Request.Platform.PhysicalAddressBits} physical address bits: with KVM add -cpu "
            + $"host,host-phys-bits=off,phys-bits={_plan.Request.Platform.PhysicalAddressBits}; TCG has 40.");
    }
}
