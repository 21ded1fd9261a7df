using Aperture.Pci.Capabilities;
using Aperture.Pci.Ports;
using Aperture.Pci.Registers;
using FsCheck;
using FsCheck.Fluent;

namespace Aperture.Pci.Tests;

public class RoutingTests
{
    private sealed record Topology(PciHierarchy Hierarchy, PciBridge[] Bridges, PciFunction[] Functions);

    private sealed record Numbering(int Bridge, int Offset, int Size, uint Value);

    private static Gen<Numbering> Numberings { get; } =
        from bridge in Gen.Choose(0, 5)
        from offset in Gen.Elements(0x18, 0x19, 0x1A, 0x18, 0x19)
        from size in Gen.Elements(1, 2, 4)
        from a in Gen.Choose(0, 7)
        from b in Gen.Choose(0, 9)
        from c in Gen.Choose(0, 12)
        let reset = a == 7 ? PciRegisters.BridgeControl : offset
        select reset == offset
            ? new Numbering(bridge, offset, size, (uint)(a | b << 8 | c << 16))
            : new Numbering(bridge, reset, 2, (uint)(b & 1) << 6);

    // Every place that a function sits at, and some where none does, on every bus number in use and some that are not.
    private static Bdf[] Interesting { get; } =
    [
        .. from bus in Enumerable.Range(0, 15)
           from place in new[] { 0x00, 0x01, 0x03, 0x08, 0x09, 0x18, 0x20, 0x50, 0xFF }
           select new Bdf((ushort)(bus << 8 | place)),
    ];

    // Root: port0 (endpoint below), port1 (switch: up, two downs, endpoint below each), a conventional bridge (two functions below).
    private static Topology Make()
    {
        PciHierarchy hierarchy = new();
        RootPort port0 = new("port0", 0);
        RootPort port1 = new("port1", 1);
        SwitchUpstreamPort up = new("up");
        SwitchDownstreamPort down0 = new("down0", 2);
        SwitchDownstreamPort down1 = new("down1", 3);
        PciBridge plain = new("plain", new PciIdentity(1, 2, PciIdentity.BridgeClass));
        PciFunction[] functions = [.. Enumerable.Range(0, 6).Select(i => Build.Function($"f{i}"))];
        hierarchy.Root.Add(0x00, functions[0]);
        hierarchy.Root.Add(0x08, port0);
        hierarchy.Root.Add(0x09, port1);
        hierarchy.Root.Add(0x50, plain);
        port0.Secondary.Add(0, functions[1]);
        port1.Secondary.Add(0, up);
        up.Secondary.Add(0, down0);
        up.Secondary.Add(0x18, down1);
        down0.Secondary.Add(0, functions[2]);
        down1.Secondary.Add(3, functions[3]);
        plain.Secondary.Add(0x20, functions[4]);
        plain.Secondary.Add(0xFF, functions[5]);
        return new Topology(hierarchy, [port0, port1, up, down0, down1, plain], functions);
    }

    // As the bridge specification says it, one bus at a time, reading nothing but registers.
    private static PciFunction? Oracle(PciBus bus, int atNumber, Bdf wanted)
    {
        if (wanted.Bus == atNumber)
        {
            return bus.Functions.FirstOrDefault(f => f.DeviceFunction == wanted.DeviceFunction);
        }

        foreach (PciBridge bridge in bus.Functions.OfType<PciBridge>())
        {
            uint numbers = bridge.ReadConfig(PciRegisters.PrimaryBus, 4);
            int secondary = (int)(numbers >> 8 & 0xFF);
            int subordinate = (int)(numbers >> 16 & 0xFF);
            bool held = (bridge.ReadConfig(PciRegisters.BridgeControl, 2) & 0x40) != 0;
            if (!held && wanted.Bus >= secondary && wanted.Bus <= subordinate)
            {
                return Oracle(bridge.Secondary, secondary, wanted);
            }
        }

        return null;
    }

    [Fact]
    public void Routing_follows_the_bus_numbers_that_the_guest_programs()
    {
        Prop.ForAll(Numberings.ListOf().ToArbitrary(), steps =>
        {
            Topology topology = Make();
            foreach (Numbering step in steps)
            {
                topology.Bridges[step.Bridge].WriteConfig(step.Offset, step.Size, step.Value);
                foreach (Bdf bdf in Interesting)
                {
                    PciFunction? expected = Oracle(topology.Hierarchy.Root, 0, bdf);
                    Assert.Equal(expected is not null, topology.Hierarchy.TryFind(bdf, out PciFunction? found));
                    Assert.Same(expected, found);
                }
            }
        }).Holds();
    }

    [Fact]
    public void A_function_knows_its_routing_id_by_the_number_its_bus_has_now()
    {
        Topology topology = Make();
        topology.Bridges[0].ProgramBusNumbers(0, 0x21, 0x21);
        Assert.Equal(new Bdf(0x21, 0, 0), topology.Functions[1].Bdf);
        topology.Bridges[0].WriteConfig(PciRegisters.PrimaryBus + 1, 2, 0x4242);
        Assert.Equal(new Bdf(0x42, 0, 0), topology.Functions[1].Bdf);
        Assert.True(topology.Hierarchy.TryFind(new Bdf(0x42, 0, 0), out _));
        Assert.False(topology.Hierarchy.TryFind(new Bdf(0x21, 0, 0), out _));
    }

    [Fact]
    public void An_absent_function_reads_all_ones_at_the_access_width_and_its_writes_reach_nobody()
    {
        RecordingWriteSink sink = new();
        PciHierarchy hierarchy = new(sink);
        hierarchy.Root.Add(0, Build.Function("conventional", ConfigSpace.ConventionalSize));
        Assert.Equal(0xFFu, hierarchy.ConfigRead(new Bdf(0, 1, 0), 0, 1));
        Assert.Equal(0xFFFFu, hierarchy.ConfigRead(new Bdf(5, 1, 0), 0, 2));
        Assert.Equal(uint.MaxValue, hierarchy.ConfigRead(new Bdf(255, 31, 7), 0, 4));
        hierarchy.ConfigWrite(new Bdf(0, 1, 0), 4, 2, 7);
        Assert.Empty(sink.Writes);
        Assert.Equal(uint.MaxValue, hierarchy.ConfigRead(new Bdf(0, 0, 0), 256, 4));
        hierarchy.ConfigWrite(new Bdf(0, 0, 0), 256, 4, 7);
        Assert.Equal(ConfigChange.None, sink.Writes[^1].Change);
    }

    [Fact]
    public void Below_a_port_only_device_0_answers_until_ari_forwarding_gives_it_256_functions()
    {
        PciHierarchy hierarchy = new();
        RootPort port = new("port", 1);
        hierarchy.Root.Add(8, port);
        PciFunction first = Build.Function("vf0");
        PciFunction far = Build.Function("vf9");
        first.AddCapability(new AriCapability());
        far.AddCapability(new AriCapability());
        port.Secondary.Add(0, first);
        port.Secondary.Add(9, far);
        port.ProgramBusNumbers(0, 1, 1);
        Assert.Equal(9u, first.ReadConfig(first.Find<AriCapability>()!.Offset + 5, 1));
        Assert.Equal(0u, far.ReadConfig(far.Find<AriCapability>()!.Offset + 5, 1));
        Assert.False(hierarchy.TryFind(new Bdf(0x0109), out _));
        int control = port.Express.Offset + 0x28;
        hierarchy.ConfigWrite(port.Bdf, control, 2, 0x20);
        Assert.True(hierarchy.TryFind(new Bdf(0x0109), out PciFunction? found));
        Assert.Same(far, found);
        port.Reset(ResetKind.Conventional);
        port.ProgramBusNumbers(0, 1, 1);
        Assert.False(hierarchy.TryFind(new Bdf(0x0109), out _));
        ApertureException error = Assert.Throws<ApertureException>(() => port.Secondary.Add(0x10, Build.Function("lost")));
        Assert.Contains("port", error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Two_functions_cannot_share_a_place_and_the_message_names_both()
    {
        PciHierarchy hierarchy = new();
        hierarchy.Root.Add(0x10, Build.Function("alice"));
        ApertureException error = Assert.Throws<ApertureException>(() => hierarchy.Root.Add(0x10, Build.Function("bob")));
        Assert.Contains("alice", error.Message, StringComparison.Ordinal);
        Assert.Contains("bob", error.Message, StringComparison.Ordinal);
        Assert.Contains("02.0", error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Functions_are_listed_depth_first_in_order_of_their_place()
    {
        Topology topology = Make();
        Assert.Equal(
            ["f0", "port0", "f1", "port1", "up", "down0", "f2", "down1", "f3", "plain", "f4", "f5"],
            topology.Hierarchy.Functions.Select(f => f.Name));
    }

    [Fact]
    public void The_sink_is_told_inside_the_lock_before_the_write_returns()
    {
        RecordingWriteSink sink = new();
        PciHierarchy hierarchy = new(sink);
        hierarchy.Root.Add(0, Build.Function());
        bool held = false;
        sink.Then = (_, _) => held = hierarchy.Sync.IsHeldByCurrentThread;
        hierarchy.ConfigWrite(default, PciRegisters.Command, 2, 2);
        Assert.True(held);
        Assert.Equal((ConfigChange.DecodeMap, PciRegisters.Command, 2, 2u),
            (sink.Writes[0].Change, sink.Writes[0].Offset, sink.Writes[0].Size, sink.Writes[0].Value));
    }
}
