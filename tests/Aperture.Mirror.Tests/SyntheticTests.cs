using Aperture.Host.Model;
using Aperture.Placement.Map;
using FsCheck;
using FsCheck.Fluent;

namespace Aperture.Mirror.Tests;

/// <summary>Machines that nobody captured: many functions, several domains, other processors.</summary>
public class SyntheticTests
{
    private static readonly (string Kind, ulong Size)[] Sizes =
    [
        ("mem32", 4 << 10), ("mem32", 1 << 20), ("mem32p", 64 << 10), ("mem64", 16 << 10), ("mem64p", 32 << 20), ("mem64p", 16UL << 30),
        ("mem64p", 128UL << 30), ("io", 32),
    ];

    [Fact]
    public void A_machine_of_more_than_200_functions_below_four_host_bridges_keeps_every_address()
    {
        SyntheticHost made = new();
        foreach (byte bus in (byte[])[0x00, 0x40, 0x80, 0xC0])
        {
            made.Root(0, bus);
            for (int port = 0; port < 4; port++)
            {
                made.Switch(port + 1, [.. Enumerable.Range(0, 8).Select(_ => Check.Bars(("mem64p", 64UL << 30), ("mem32", 1 << 20), ("mem32", 4 << 10)))]);
            }

            made.Port(8, Check.Bars(("mem64p", 1 << 20), ("mem64p", 64 << 10)), Check.Bars(("mem32p", 1 << 20)));
        }

        HostMachine host = made.Read();
        Assert.True(host.Functions.Length > 200, $"there are {host.Functions.Length}");
        Assert.Equal(4 * (4 * 8 * 3 + 3), Check.Identical(host, Check.Plan(host, ram: 16UL << 30)));
    }

    [Fact]
    public void Random_consistent_machines_keep_every_address_bus_and_window()
    {
        Gen<BarText[]> endpoint = Gen.Choose(0, 3).SelectMany(count => Gen.Choose(0, Sizes.Length - 1).ListOf(count))
            .Select(picks => picks.Select(pick => new BarText(Sizes[pick].Kind, Sizes[pick].Size)).ToArray());
        Gen<(bool Switch, BarText[][] Below)> port = from isSwitch in Gen.Elements(false, true)
                                                     from count in Gen.Choose(0, 5)
                                                     from below in endpoint.ListOf(count)
                                                     select (isSwitch, below.ToArray());
        var machine = from roots in Gen.Choose(1, 5)
                      from ports in Gen.Choose(0, 5).SelectMany(count => port.ListOf(count)).ListOf(roots)
                      from segment in Gen.Elements(0u, 1u, 0x20000u)
                      from ram in Gen.Elements(512UL << 20, 3UL << 30, 200UL << 30)
                      select (Ports: ports.Select(list => list.ToArray()).ToArray(), Segment: segment, Ram: ram);
        Prop.ForAll(machine.ToArbitrary(), sample =>
        {
            SyntheticHost made = new();
            for (int i = 0; i < sample.Ports.Length; i++)
            {
                made.Root((uint)(i % 2) * sample.Segment, (byte)(i * 0x30));
                for (int p = 0; p < sample.Ports[i].Length; p++)
                {
                    _ = sample.Ports[i][p].Switch ? made.Switch(p + 1, sample.Ports[i][p].Below) : made.Port(p + 1, sample.Ports[i][p].Below);
                }
            }

            HostMachine host = made.Read();
            Check.Identical(host, Check.Plan(host, ram: sample.Ram));
        }).Holds(150);
    }

    [Fact]
    public void Domains_of_32_bits_become_segments()
    {
        SyntheticHost made = new SyntheticHost().Root(0, 0).Port(1, Check.Bars(("mem32", 1 << 20)));
        made.Root(0x1_0000, 0, hostBridge: false).Port(0, Check.Bars(("mem64p", 64UL << 30)));
        made.Root(0xFFFF_FFFE, 0x80, hostBridge: false).Port(2, Check.Bars(("mem64p", 64UL << 30), ("mem32", 1 << 20)));
        HostMachine host = made.Read();
        MirrorPlan plan = Check.Plan(host);
        Assert.Equal(4, Check.Identical(host, plan));
        Assert.Equal([0, 0x1_0000, 0xFFFF_FFFE], plan.Result.Require().HostBridges.Select(bridge => bridge.Segment));
    }

    [Fact]
    public void A_machine_that_is_no_pc_may_have_bars_where_a_pc_has_its_interrupt_controllers()
    {
        SyntheticHost made = new SyntheticHost(low: 0x1000_0000).Root(4, 0, hostBridge: false);
        made.Port(0, [new BarText("mem32", 1 << 20, 0xFEE0_0000), new BarText("mem32", 64 << 10, 0xFEC0_0000)]);
        made.Port(1, Check.Bars(("mem32", 16 << 20)));
        HostMachine host = made.Read();
        MirrorPlan plan = Check.Plan(host);
        Assert.Equal(3, Check.Identical(host, plan, windows: false));
        Assert.Contains(plan.Notes, note => note.StartsWith("Nothing is kept free for a PC's", StringComparison.Ordinal));
    }

    [Fact]
    public void On_a_pc_a_bar_in_the_msi_window_is_a_conflict_that_names_it()
    {
        SyntheticHost made = new SyntheticHost().Root(0, 0);
        made.Endpoint(0, 3, 0, new BarText("mem32", 1 << 20, 0xFEE0_0000));
        PlacementConflict conflict = Assert.Single(Check.Plan(made.Read()).Result.Conflicts);
        Assert.Contains("0000:00:03.0 bar0 (mem32, 1M) cannot be pinned at 0xfee00000: it overlaps the local APIC and MSI window", conflict.Sentence,
            StringComparison.Ordinal);
    }
}
