using System.Globalization;
using Aperture.Placement.Map;

namespace Aperture.Emission;

/// <summary>
/// Writes a libvirt domain for the q35 board. libvirt names a bus by its controller's index, which need not be a bus number of the guest; it adds a
/// controller for every index below the highest that has none, so indexes are counted here.
/// </summary>
internal sealed class LibvirtEmitter
{
    private readonly ConfigText _text = ConfigText.Xml();
    private readonly EmissionPlan _plan;
    private readonly PlannedTree _tree;
    private readonly List<(string Alias, BridgePlacement Bridge)> _reserves = [];
    private int _controllers = 1;
    private int _ports;

    private LibvirtEmitter(EmissionPlan plan)
    {
        _plan = plan;

        // libvirt takes letters, digits, - and _ in an alias.
        _tree = PlannedTree.WithoutDots(plan.Map);
    }

    /// <summary>The domain.</summary>
    public static string Write(EmissionPlan plan) => new LibvirtEmitter(plan).Write();

    private string Write()
    {
        ulong hole = QemuLimits.Hole64(_plan.Map) >> 10;
        _text.Line("<domain type='kvm' xmlns:qemu='http://libvirt.org/schemas/domain/qemu/1.0'>");
        _text.Comment("The planned topology; qemu:override needs libvirt 8.2, maxphysaddr 8.7.", "  ");
        _text.Line("  <name>aperture</name>");
        _text.Line(Invariant($"  <memory unit='KiB'>{(_plan.Request.Platform.RamSize + 1023) >> 10}</memory>"));
        _text.Line("  <vcpu>1</vcpu>");
        if (QemuLimits.OvmfAperture(_plan.Map) is { } aperture)
        {
            _text.Comment("OVMF's 64-bit window in MiB; other firmware does not look at it. sysinfo of this type needs libvirt 6.5.", "  ");
            _text.Line(Invariant($"  <sysinfo type='fwcfg'><entry name='{QemuLimits.OvmfApertureName}'>{aperture}</entry></sysinfo>"));
        }

        _text.Line("  <os><type arch='x86_64' machine='q35'>hvm</type></os>");
        _text.Line("  <features><acpi/></features>");
        _text.Line(Invariant($"  <cpu mode='host-passthrough'><maxphysaddr mode='emulate' bits='{_plan.Request.Platform.PhysicalAddressBits}'/></cpu>"));
        _text.Line("  <devices>");
        _text.Line("    <controller type='pci' index='0' model='pcie-root'>");
        _text.Line(Invariant($"      <pcihole64 unit='KiB'>{hole}</pcihole64>"));
        _text.Line("    </controller>");
        for (int host = 0; host < _tree.Roots.Count; host++)
        {
            Functions(_tree.Roots[host], HostIndex(host));
        }

        _text.Line("  </devices>");
        Override();
        Gaps();
        _text.Line("</domain>");
        return _text.ToString();
    }

    private static string Invariant(FormattableString text) => text.ToString(CultureInfo.InvariantCulture);

    private int? HostIndex(int index)
    {
        HostBridgePlacement host = _plan.Map.HostBridges[index];
        string what = $"{host.Name}, segment {Words.Hex(host.Segment, 4)}, buses {host.FirstBus:x2}-{host.LastBus:x2}";
        _text.Comment(what, "    ");
        if (index == 0)
        {
            if (host.FirstBus != 0 || host.Segment != 0)
            {
                _text.Gap($"{what}: the machine's own bus is bus 00 of segment 0.");
            }

            return 0;
        }

        if (host.Segment != 0 || host.FirstBus == 0 || Index() is not { } free)
        {
            _text.Gap($"{what}: the machine has one segment, and a further root bus starts above 00; nothing below it is written.");
            return null;
        }

        // No address of its own: libvirt finds a free place on bus 00.
        _text.Line(Invariant($"    <controller type='pci' index='{free}' model='pcie-expander-bus'>"));
        _text.Line(Invariant($"      <target busNr='{host.FirstBus}'/>"));
        _text.Line("    </controller>");
        return free;
    }

    /// <summary>The next controller index; an address has a byte for it.</summary>
    private int? Index() => _controllers < 256 ? _controllers++ : null;

    private void Functions(List<PlannedFunction> functions, int? bus)
    {
        foreach (PlannedFunction planned in functions)
        {
            _text.Comment($"{planned.Title}: {planned.Kind}", "    ");
            Functions(planned.Children, bus is { } number && planned.Role != FunctionRole.Board ? Device(planned, number) : null);
        }
    }

    private int? Device(PlannedFunction planned, int bus)
    {
        if ((planned.Parent is { Role: not FunctionRole.SwitchUpstream } && planned.Address.Device != 0)
            || (planned is { HostIndex: 0, Parent: null } && (planned.Address.Device == 0 || planned.Address is { Device: 0x1F, Function: 0 or 2 or 3 })))
        {
            _text.Gap($"{planned.Title}: the machine takes nothing at that place; it and what lies below it are not written.");
            return null;
        }

        string multifunction = planned is { SharesDevice: true, Address.Function: 0 } ? " multifunction='on'" : "";
        string slot = Words.Hex((ulong)planned.Address.Device, 2);
        string address = Invariant(
            $"<address type='pci' domain='0x0000' bus='{Words.Hex((ulong)bus, 2)}' slot='{slot}' function='0x{planned.Address.Function}'{multifunction}/>");
        if (planned.Function.Bridge is not { } bridge)
        {
            Endpoint(planned, address);
            return null;
        }

        if (Index() is not { } index)
        {
            _text.Gap($"{planned.Title}: all 256 controller indexes are taken; it and what lies below it are not written.");
            return null;
        }

        Port(planned, index, address);
        if (planned.Role == FunctionRole.RootPort && QemuPorts.Reserves(bridge).Any())
        {
            _reserves.Add(($"ua-{planned.Id}", bridge));
        }

        return index;
    }

    private void Port(PlannedFunction planned, int index, string address)
    {
        string model = planned.Role switch
        {
            FunctionRole.RootPort => "pcie-root-port",
            FunctionRole.SwitchUpstream => "pcie-switch-upstream-port",
            _ => "pcie-switch-downstream-port",
        };
        _text.Line(Invariant($"    <controller type='pci' index='{index}' model='{model}'>"));
        _text.Line($"      <alias name='{Words.Xml($"ua-{planned.Id}")}'/>");
        if (planned.Role != FunctionRole.SwitchUpstream)
        {
            _text.Line(Invariant($"      <target chassis='{(_ports++ % 255) + 1}' port='{Words.Hex(planned.Address.DeviceFunction)}'/>"));
        }

        _text.Line($"      {address}");
        _text.Line("    </controller>");
    }

    private void Endpoint(PlannedFunction planned, string address)
    {
        if (!_plan.HostAddresses.TryGetValue(planned.Function.Name, out string? host) || HostAddress.Parse(host) is not { } source)
        {
            _text.Comment($"a hostdev or another device goes here, with {address}", "    ");
            return;
        }

        _text.Line("    <hostdev mode='subsystem' type='pci' managed='yes'>");
        _text.Line($"      <alias name='{Words.Xml($"ua-{planned.Id}")}'/>");
        _text.Line($"      <source><address domain='{Words.Hex(source.Domain, 4)}' bus='{Words.Hex(source.Function.Bus, 2)}' "
            + $"slot='{Words.Hex((ulong)source.Function.Device, 2)}' function='{Words.Hex((ulong)source.Function.Function)}'/></source>");
        _text.Line($"      {address}");
        _text.Line("    </hostdev>");
    }

    private void Override()
    {
        if (_reserves.Count == 0)
        {
            return;
        }

        _text.Line("  <qemu:override>");
        foreach ((string alias, BridgePlacement bridge) in _reserves)
        {
            _text.Line($"    <qemu:device alias='{Words.Xml(alias)}'>");
            _text.Line("      <qemu:frontend>");
            foreach ((string name, ulong value) in QemuPorts.Reserves(bridge))
            {
                _text.Line(Invariant($"        <qemu:property name='{name}' type='unsigned' value='{value}'/>"));
            }

            _text.Line("      </qemu:frontend>");
            _text.Line("    </qemu:device>");
        }

        _text.Line("  </qemu:override>");
    }

    private void Gaps()
    {
        if (_tree.All.Exists(f => f.Role == FunctionRole.Endpoint && !_plan.HostAddresses.ContainsKey(f.Function.Name)))
        {
            _text.Gap("devices without a host device: the comments show their addresses.");
        }

        if (_ports > 255)
        {
            _text.Gap("more than 255 ports: chassis numbers repeat, and libvirt has no slot number besides.");
        }

        _text.Gap("a board without a disk controller: libvirt gives every q35 machine a SATA controller at 1f.2, with BARs that the plan does not have.");
        SharedGaps.Pins(_text, _tree);
        SharedGaps.Capabilities(_text, _tree);
        _text.Gap($"the low hole from {_plan.Map.Ram.LowHoleStart}: libvirt has no element for it; the plan's low RAM is "
            + $"{ByteSize.Format(_plan.Map.Ram.Low.Size)}.");
        foreach (EcamPlacement ecam in _plan.Map.Ecams)
        {
            _text.Gap($"ECAM of segment {ecam.Segment} at {ecam.Range}: firmware chooses its place.");
        }

        _text.Gap("bus numbers: an index is libvirt's name for a bus; firmware numbers buses in the order that it finds them.");
        SharedGaps.Ovmf(_text, _plan.Map);
        SharedGaps.RamPieces(_text, _plan.Map);
        SharedGaps.Reserved(_text, _plan.Request);
        _text.Gaps("libvirt", "  ");
    }
}
