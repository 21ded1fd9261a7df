using Aperture.Pci.Capabilities;
using Aperture.Pci.Ports;
using FsCheck;
using FsCheck.Fluent;

namespace Aperture.Pci.Tests;

/// <summary>Random decode states against an oracle that asks for each 64 KiB of memory and each port, and reads nothing but registers.</summary>
public class DecodePropertyTests
{
    private const ulong Page = 0x1_0000;
    private const ulong Pin = 0xD030_0000;

    private sealed record Step(int Function, int Register, uint Value);

    private sealed class Bench
    {
        public Bench()
        {
            Hierarchy.Root.Add(0x08, Outer);
            Hierarchy.Root.Add(0x10, Make("a", false));
            Outer.Secondary.Add(0, Inner);
            Outer.Secondary.Add(8, Make("b", true));
            Inner.Secondary.Add(0, Make("c", false));
            All = [.. Hierarchy.Functions];
            foreach (PciFunction function in All)
            {
                Build.Enable(function);
            }

            foreach (PciBridge bridge in new[] { Outer, Inner })
            {
                bridge.ProgramWindow(BridgeWindow.Memory, Build.Range(0xD000_0000, 0x80_0000));
                bridge.ProgramWindow(BridgeWindow.Prefetchable, Build.Range(0x10_D000_0000, 0x80_0000));
                bridge.ProgramWindow(BridgeWindow.Io, Build.Range(0x1000, 0x2000));
            }
        }

        public PciHierarchy Hierarchy { get; } = new();

        public PciBridge Outer { get; } = new("outer", new PciIdentity(1, 2, PciIdentity.BridgeClass));

        public PciBridge Inner { get; } = new("inner", new PciIdentity(1, 2, PciIdentity.BridgeClass));

        public PciFunction[] All { get; }

        public DecodeLimits Limits { get; } = new(
            [Build.Range(0xD000_0000, 0x60_0000), Build.Range(0x10_D000_0000, 0x80_0000)],
            [Build.Range(0x1000, 0x3000)],
            [new DecodeObstacle(Build.Range(0xD048_0000, Page), "hole")],
            [new DecodeObstacle(Build.Range(0x1180, 4), "ports")]);

        private static PciFunction Make(string name, bool pinned)
        {
            PciFunction function = Build.Function(name);
            function.AddCapability(new PowerManagementCapability());
            function.AddBar(0, BarKind.Memory32, 0x10_0000);
            function.AddBar(1, BarKind.Io, 0x100);
            function.AddBar(2, BarKind.Memory64Prefetchable, 0x20_0000);
            Bar last = function.AddBar(4, BarKind.Memory32Prefetchable, 0x10_0000);
            function.AddBar(BarKinds.RomIndex, BarKind.Rom, Page);
            if (pinned)
            {
                last.SetPin(Build.At(Pin));
            }

            return function;
        }
    }

    private static Gen<uint> Low { get; } = Gen.OneOf(
        Gen.Choose(0, 7).Select(n => 0xD000_0000u + ((uint)n * 0x10_0000)),
        Gen.Choose(0, 7).Select(n => 0xD040_0000u + ((uint)n * 0x1_0000)),
        Gen.Elements(0u, uint.MaxValue, 0xD060_0001u, 0xD030_0001u));

    private static Gen<Step> Steps { get; } =
        from function in Gen.Choose(0, 4)
        from low in Low
        from high in Gen.Elements(0u, 0x10u, 0x8000_0000u, uint.MaxValue, 0x11u)
        from port in Gen.Elements(0x1000u, 0x1100u, 0x1200u, 0x2F00u, 0x3000u, 0u, uint.MaxValue, 0x1_1000u)
        from command in Gen.Elements(7u, 3u, 2u, 1u, 0u, 7u, 7u)
        from window in Gen.Choose(0, 6)
        from span in Gen.Choose(-1, 3)
        let memoryWindow = (0xD000u + ((uint)window * 0x10)) | (0xD000u + ((uint)(window + span) * 0x10)) << 16
        let ioWindow = 0x10u | (uint)(span + 2) << 12
        from step in Gen.Elements(
            new Step(function, 0x10, low),
            new Step(function, 0x14, port),
            new Step(function, 0x18, low),
            new Step(function, 0x1C, high),
            new Step(function, 0x20, low),
            new Step(function, 0x30, low | 1),
            new Step(function, 0x04, command),
            new Step(function, 0x44, (window & 1) == 0 ? 0u : 3u),
            new Step(function, -0x20, memoryWindow),
            new Step(function, -0x24, memoryWindow),
            new Step(function, -0x28, (uint)(window & 1) * 0x10),
            new Step(function, -0x2C, 0x10),
            new Step(function, -0x1C, ioWindow))
        select step;

    private static void Apply(Bench bench, Step step)
    {
        if (step.Register < 0)
        {
            PciBridge bridge = (step.Function & 1) == 0 ? bench.Outer : bench.Inner;
            bridge.WriteConfig(-step.Register, step.Register == -0x1C ? 2 : 4, step.Value);
            return;
        }

        PciFunction function = bench.All[step.Function];
        if (function is not PciBridge || step.Register == 4)
        {
            function.WriteConfig(step.Register, 4, step.Value);
        }
    }

    private static bool OraclePasses(PciBridge bridge, ulong address, bool io)
    {
        uint Register(int at) => bridge.ReadConfig(at, 4);
        uint command = bridge.ReadConfig(4, 2);
        if (io)
        {
            return (command & 1) != 0 && address >= (Register(0x1C) & 0xF0) << 8 && address <= ((Register(0x1C) >> 8 & 0xF0) << 8 | 0xFFF);
        }

        ulong prefetchableBase = (Register(0x24) & 0xFFF0ul) << 16 | (ulong)Register(0x28) << 32;
        ulong prefetchableLimit = (Register(0x24) & 0xFFF0_0000ul) | 0xF_FFFF | (ulong)Register(0x2C) << 32;
        bool memory = address >= (Register(0x20) & 0xFFF0ul) << 16 && address <= ((Register(0x20) & 0xFFF0_0000ul) | 0xF_FFFF);
        return (command & 2) != 0 && (memory || (address >= prefetchableBase && address <= prefetchableLimit));
    }

    private static bool OracleDecodes(Bench bench, PciFunction function, Bar bar, ulong address)
    {
        bool io = bar.Kind == BarKind.Io;
        if ((function.ReadConfig(4, 2) & (io ? 1 : 2)) == 0 || address == 0 || (function is not PciBridge && (function.ReadConfig(0x44, 1) & 3) != 0))
        {
            return false;
        }

        if (bar.Kind == BarKind.Rom && (function.ReadConfig(0x30, 1) & 1) == 0)
        {
            return false;
        }

        for (ulong offset = 0; offset < bar.Size; offset += io ? 1 : Page)
        {
            ulong at = address + offset;
            bool reserved = io ? at is >= 0x1180 and < 0x1184 : at is >= 0xD048_0000 and < 0xD049_0000;
            bool window = io ? at is >= 0x1000 and < 0x4000 : at is (>= 0xD000_0000 and < 0xD060_0000) or (>= 0x10_D000_0000 and < 0x10_D080_0000);
            if (reserved || !window)
            {
                return false;
            }

            for (PciBridge? bridge = function.Bus!.Parent; bridge is not null; bridge = bridge.Bus!.Parent)
            {
                if (!OraclePasses(bridge, at, io))
                {
                    return false;
                }
            }
        }

        return true;
    }

    private static ulong OracleAddress(PciFunction function, Bar bar)
    {
        if (function.Name == "b" && bar.Index == 4)
        {
            return Pin;
        }

        int register = bar.Index == BarKinds.RomIndex ? 0x30 : 0x10 + (4 * bar.Index);
        ulong value = function.ReadConfig(register, 4) | (bar.Index == 2 ? (ulong)function.ReadConfig(register + 4, 4) << 32 : 0);
        return value & ~(bar.Size - 1);
    }

    // Who holds each page or port: first the pinned BAR, then what stays, then the rest, each whole or not at all.
    private static Dictionary<Bar, ulong> OracleMap(Bench bench, Dictionary<Bar, ulong> previous)
    {
        Dictionary<Bar, ulong> map = [];
        HashSet<(bool Io, ulong Unit)> taken = [];
        foreach (int rank in new[] { 0, 1, 2 })
        {
            foreach (PciFunction function in bench.All)
            {
                foreach (Bar bar in function.Bars)
                {
                    ulong address = OracleAddress(function, bar);
                    bool stays = previous.TryGetValue(bar, out ulong before) && before == address;
                    int own = function.Name == "b" && bar.Index == 4 ? 0 : stays ? 1 : 2;
                    if (own != rank || !OracleDecodes(bench, function, bar, address))
                    {
                        continue;
                    }

                    bool io = bar.Kind == BarKind.Io;
                    ulong unit = io ? 1 : Page;
                    List<(bool, ulong)> units = [];
                    for (ulong offset = 0; offset < bar.Size; offset += unit)
                    {
                        units.Add((io, (address + offset) / unit));
                    }

                    if (!units.Exists(taken.Contains))
                    {
                        taken.UnionWith(units);
                        map.Add(bar, address);
                    }
                }
            }
        }

        return map;
    }

    [Fact]
    public void What_decodes_agrees_with_asking_for_every_address()
    {
        int decoded = 0;
        int conflicts = 0;
        Prop.ForAll(Steps.ListOf(60).ToArbitrary(), steps =>
        {
            Bench bench = new();
            DecodeMap map = DecodeMap.Empty;
            Dictionary<Bar, ulong> oracle = [];
            foreach (Step step in steps)
            {
                Apply(bench, step);
                map = bench.Hierarchy.ComputeDecode(bench.Limits, map);
                oracle = OracleMap(bench, oracle);
                Dictionary<Bar, ulong> actual = map.Memory.Concat(map.Io).ToDictionary(d => d.Bar, d => d.Range.Start.Value);
                Assert.Equal(oracle.OrderBy(p => p.Value).Select(p => (p.Key.Function.Name, p.Key.Name, p.Value)),
                    actual.OrderBy(p => p.Value).Select(p => (p.Key.Function.Name, p.Key.Name, p.Value)));
                Assert.Equal(bench.All.Sum(f => f.Bars.Count), actual.Count + map.Refused.Count);
                Assert.Equal(map.Memory.OrderBy(d => d.Range), map.Memory);
                decoded += actual.Count;
                conflicts += map.Refused.Count(r => r.Reason == DecodeRefusal.Conflict);
            }
        }).Holds();

        // The property means nothing if the generator never gets a BAR to decode or two to collide.
        Assert.True(decoded > 1000, $"only {decoded} decoded");
        Assert.True(conflicts > 50, $"only {conflicts} conflicts");
    }

    [Fact]
    public void A_write_that_changes_the_map_always_says_so()
    {
        Prop.ForAll(Steps.ListOf(60).ToArbitrary(), steps =>
        {
            Bench bench = new();
            RecordingWriteSink sink = new();
            bench.Hierarchy.WriteSink = sink;
            bench.Outer.ProgramBusNumbers(0, 1, 2);
            bench.Inner.ProgramBusNumbers(1, 2, 2);
            DecodeMap map = bench.Hierarchy.ComputeDecode(bench.Limits, DecodeMap.Empty);
            foreach (Step step in steps)
            {
                PciFunction target = step.Register < 0 ? (step.Function & 1) == 0 ? bench.Outer : bench.Inner : bench.All[step.Function];
                if (step.Register >= 0 && target is PciBridge && step.Register != 4)
                {
                    continue;
                }

                bench.Hierarchy.ConfigWrite(target.Bdf, Math.Abs(step.Register), step.Register == -0x1C ? 2 : 4, step.Value);
                DecodeMap after = bench.Hierarchy.ComputeDecode(bench.Limits, map);
                if (!after.Memory.SequenceEqual(map.Memory) || !after.Io.SequenceEqual(map.Io))
                {
                    Assert.True(sink.Writes[^1].Change.HasFlag(ConfigChange.DecodeMap), step.ToString());
                }

                map = after;
            }
        }).Holds();
    }

    [Fact]
    public void The_map_that_follows_a_change_of_one_function_is_the_one_that_is_computed_whole()
    {
        int followed = 0;
        int moved = 0;
        Prop.ForAll(Steps.ListOf(60).ToArbitrary(), steps =>
        {
            Bench bench = new();
            DecodeMap map = bench.Hierarchy.ComputeDecode(bench.Limits, DecodeMap.Empty);
            foreach (Step step in steps)
            {
                PciFunction target = step.Register < 0 ? (step.Function & 1) == 0 ? bench.Outer : bench.Inner : bench.All[step.Function];
                Apply(bench, step);
                DecodeMap whole = bench.Hierarchy.ComputeDecode(bench.Limits, map);
                DecodeMap? next = bench.Hierarchy.UpdateDecode(bench.Limits, map, target);
                Assert.True(next is null || target is not PciBridge);
                if (next is not null)
                {
                    Assert.Equal(whole.Memory, next.Memory);
                    Assert.Equal(whole.Io, next.Io);
                    Assert.Equal(whole.Refused, next.Refused);
                    Assert.Equal(whole.Following, next.Following);
                    Assert.All(bench.All.SelectMany(f => f.Bars), bar => Assert.Equal(whole.Find(bar), next.Find(bar)));
                    Assert.All(bench.All.SelectMany(f => f.Bars), bar => Assert.Equal(whole.RefusalOf(bar), next.RefusalOf(bar)));
                    followed++;
                    moved += next.Memory.SequenceEqual(map.Memory) ? 0 : 1;
                }

                map = next ?? whole;
            }
        }).Holds();
        Assert.True(followed > 500 && moved > 50, $"{followed} followed, {moved} moves among them");
    }
}
