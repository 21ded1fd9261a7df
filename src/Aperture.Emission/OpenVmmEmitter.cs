using System.Globalization;
using Aperture.Pci;
using Aperture.Placement.Map;
using Aperture.Placement.Request;

namespace Aperture.Emission;

/// <summary>Writes a script that starts OpenVMM: root complexes with fixed windows, ports and switches, and pinned BARs of host devices.</summary>
internal sealed class OpenVmmEmitter
{
    private const string Indent = "    ";
    private readonly ConfigText _text = ConfigText.Hash();
    private readonly EmissionPlan _plan;
    private readonly PlannedTree _tree;

    private OpenVmmEmitter(EmissionPlan plan)
    {
        _plan = plan;
        _tree = PlannedTree.Of(plan.Map);
    }

    /// <summary>The script.</summary>
    public static string Write(EmissionPlan plan) => new OpenVmmEmitter(plan).Write();

    private string Write()
    {
        _text.Line("#!/usr/bin/env bash");
        _text.Comment("OpenVMM with the planned topology. Arguments of this script are added to the monitor's.");
        _text.Line("args=(");
        Option("memory", ByteSize.Format(_plan.Request.Platform.RamSize));
        for (int host = 0; host < _tree.Roots.Count; host++)
        {
            RootComplex(host);
            Functions(_tree.Roots[host], null);
        }

        _text.Line(")");
        _text.Line();
        Gaps();
        _text.Gaps("OpenVMM");
        _text.Line();
        _text.Line("exec openvmm \"${args[@]}\" \"$@\"");
        return _text.ToString();
    }

    private void Option(string name, string value) => _text.Line($"{Indent}--{name} {Words.Shell(value)}");

    private void RootComplex(int index)
    {
        HostBridgePlacement host = _plan.Map.HostBridges[index];
        HostNeeds needs = HostNeeds.Of(host);
        string low = needs.Low is { } l ? $",low_mmio={ByteSize.Format(l.Size)},low_mmio_base={l.Start}" : "";
        string high = needs.High is { } h ? $",high_mmio={ByteSize.Format(h.Size)},high_mmio_base={h.Start}" : "";

        // Pins hold only on a root complex that keeps what it finds in BARs.
        string preserve = _tree.All.Exists(f => f.HostIndex == index && f.Function.Bars.Any(b => CanPin(f, b))) ? ",preserve_bars" : "";
        _text.Comment($"{host.Name}: windows from the first to the last address that the plan uses", Indent);
        Option("pcie-root-complex", string.Create(
            CultureInfo.InvariantCulture,
            $"{_tree.HostIds[index]},segment={host.Segment},start_bus={host.FirstBus},end_bus={host.LastBus}{low}{high}{preserve}"));
    }

    private static bool CanPin(PlannedFunction function, BarPlacement bar) =>
        bar.Why.Kind == PlacementReasonKind.Pinned
        && bar.Demand.Kind is not (BarKind.Io or BarKind.Rom)
        && bar.Demand.Index < BarKinds.RomIndex
        && PortName(function) is not null;

    private void Functions(List<PlannedFunction> functions, string? port)
    {
        foreach (PlannedFunction planned in functions)
        {
            _text.Comment($"{planned.Title}: {planned.Kind}", Indent);
            switch (planned.Role)
            {
                case FunctionRole.RootPort:
                    string hotplug = planned.Function.Demand.Bridge?.Reserve is null ? "" : ",hotplug";
                    Option("pcie-root-port",
                        string.Create(CultureInfo.InvariantCulture,
                            $"{_tree.HostIds[planned.HostIndex]}:{planned.Id},addr={planned.Address.Device}.{planned.Address.Function}{hotplug}"));
                    break;
                case FunctionRole.SwitchUpstream:
                    Switch(planned);
                    break;
                case FunctionRole.SwitchDownstream:
                    _text.Comment($"that is the port {Downstream(planned)}", Indent);
                    break;
                case FunctionRole.Endpoint:
                    Endpoint(planned, port);
                    break;
                default:
                    _text.Gap($"{planned.Title}: the monitor has chipset functions of its own.");
                    break;
            }

            Functions(planned.Children, planned.Role is FunctionRole.SwitchUpstream ? null : planned.Role is FunctionRole.SwitchDownstream
                ? Downstream(planned) : planned.Id);
        }
    }

    private void Switch(PlannedFunction planned)
    {
        List<PlannedFunction> ports = [.. planned.Children.Where(c => c.Role == FunctionRole.SwitchDownstream)];
        if (PortName(planned) is not { } above || planned.Address.DeviceFunction != 0)
        {
            _text.Gap($"{planned.Title}: a switch sits at 00.0 below a port; here it does not.");
            return;
        }

        bool hotplug = ports.Exists(p => p.Function.Demand.Bridge?.Reserve is not null);
        Option("pcie-switch",
            string.Create(CultureInfo.InvariantCulture, $"{above}:{planned.Id},num_downstream_ports={Math.Max(1, ports.Count)}{(hotplug ? ",hotplug" : "")}"));
        for (int i = 0; i < ports.Count; i++)
        {
            if (ports[i].Address.DeviceFunction != i << 3)
            {
                _text.Gap($"{ports[i].Title}: downstream ports take devices 00, 01 and so on; this one would be at {i:x2}.0.");
            }
        }
    }

    private void Endpoint(PlannedFunction planned, string? port)
    {
        if (port is null || planned.Address.DeviceFunction != 0)
        {
            _text.Gap($"{planned.Title}: a device sits at 00.0 below a root or downstream port; it is not written.");
            return;
        }

        string pins = string.Concat(planned.Function.Bars.Where(b => CanPin(planned, b)).Select(b => $",{BarIndex.Name(b.Demand.Index)}={b.Address}"));
        if (_plan.HostAddresses.TryGetValue(planned.Function.Name, out string? host))
        {
            Option("vfio", $"host={host},port={port}{pins}");
        }
        else
        {
            _text.Comment($"--vfio host=DDDD:BB:DD.F,port={port}{pins}", Indent);
        }
    }

    /// <summary>The port that a function is plugged into, or null where there is none.</summary>
    private static string? PortName(PlannedFunction function) => function.Parent switch
    {
        { Role: FunctionRole.RootPort } root => root.Id,
        { Role: FunctionRole.SwitchDownstream } down => Downstream(down),
        _ => null,
    };

    /// <summary>OpenVMM names a switch's ports by counting them.</summary>
    private static string Downstream(PlannedFunction port)
    {
        int number = port.Parent!.Children.Where(c => c.Role == FunctionRole.SwitchDownstream).TakeWhile(c => c != port).Count();
        return string.Create(CultureInfo.InvariantCulture, $"{port.Parent.Id}-downstream-{number}");
    }

    private void Gaps()
    {
        if (_tree.All.Exists(f => f.Role == FunctionRole.Endpoint && !_plan.HostAddresses.ContainsKey(f.Function.Name)))
        {
            _text.Gap("devices without a host device: nothing is emulated for them; the comments show where a host device goes.");
        }

        foreach (PlannedFunction port in _tree.All.Where(f => f.Function.Demand.Bridge?.Reserve is not null))
        {
            _text.Gap($"{port.Title}: the room kept for hotplug; ports take only the word hotplug.");
        }

        SharedGaps.Pins(_text, _tree, CanPin);
        SharedGaps.Capabilities(_text, _tree);
        _text.Gap($"the low hole from {_plan.Map.Ram.LowHoleStart}: only windows of root complexes can be placed.");
        foreach (EcamPlacement ecam in _plan.Map.Ecams)
        {
            _text.Gap($"ECAM of segment {ecam.Segment} at {ecam.Range}: the monitor chooses its place.");
        }

        SharedGaps.RamPieces(_text, _plan.Map);
        SharedGaps.Reserved(_text, _plan.Request);
        _text.Gap($"{_plan.Request.Platform.PhysicalAddressBits} physical address bits: the guest's width is the host's.");
    }
}
