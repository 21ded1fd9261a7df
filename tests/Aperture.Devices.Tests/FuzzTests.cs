using Aperture.Devices.Arm;
using Aperture.Devices.Display;
using Aperture.Devices.FwCfg;
using Aperture.Devices.Pc;
using Aperture.Devices.Serial;
using Aperture.Devices.TestDevice;
using Aperture.Pci.Registers;
using Aperture.TestKit.Devices;
using Aperture.TestKit.Parts.Devices;

namespace Aperture.Devices.Tests;

/// <summary>Every device takes every access: random sizes (also ones no bus has), offsets in and far out, values, and time that jumps.</summary>
public class FuzzTests
{
    private static readonly int[] Sizes = [1, 2, 4, 8, 0, 3, -1, 16];

    private sealed class Rig
    {
        public FakeClock Clock { get; } = new();

        public List<(string Name, IAccessHandler Handler, ulong Length)> Handlers { get; } = [];

        public List<IResettable> Resettables { get; } = [];
    }

    private static Rig Make()
    {
        Rig rig = new();
        FakeMachine machine = new();
        Serial16550 uart = new(new FakeLine(), NullSerialBackend.Instance);
        Cmos cmos = new(rig.Clock, new FakeLine(), new CmosMemorySize(1UL << 31, 1UL << 40));
        Port92 port92 = new(machine);
        ResetControl reset = new(machine);
        AcpiPmBlock pm = new(rig.Clock, new FakeLine(), machine, alwaysAcpi: false);
        PmCommandPort command = new(pm);
        TestDeviceSpec spec = TestSpecs.Parse("id=t,bar0=mem32:64K,bar1=mem32:4K,bar2=mem64:64G,bar4=io:4,bar5=io:256,rom=2K,msi=32,msix=65");
        TestFunction function = new(spec, _ => new FakeDma(1 << 16));
        function.WriteConfig(PciRegisters.Command, 2, 0x407);
        I8042 controller = new(machine, new FakeLine());
        Hpet hpet = new(rig.Clock, _ => new FakeLine());
        StandardVga vga = new("vga", null);
        vga.WriteConfig(PciRegisters.Command, 2, 0x3);
        rig.Resettables.AddRange([controller, hpet]);
        Pl011 pl011 = new(new FakeLine(), NullSerialBackend.Instance);
        Pl031 pl031 = new(rig.Clock, new FakeLine());
        Pl061 pl061 = new(new FakeLine());
        FwCfgDevice configuration = new(new FwCfgItems(), new FakeDma(1 << 16));
        EventDevice events = new(new FakeLine());
        rig.Resettables.AddRange([pl011, pl031, pl061, configuration, events]);
        rig.Handlers.AddRange(
        [
            ("pl011", pl011, Pl011.Length), ("pl031", pl031, Pl031.Length), ("pl061", pl061, Pl061.Length), ("events", events, EventDevice.Length),
            ("fw_cfg in memory", new FwCfgMemory(configuration), FwCfgMemory.Length), ("fw_cfg", configuration, FwCfgDevice.Length),
        ]);
        rig.Handlers.AddRange(
        [
            ("i8042 data", controller.Data, 1), ("i8042 command", controller.Command, 1), ("hpet", hpet, Hpet.Length), ("hpet", hpet, Hpet.Length),
            ("vga ports", vga.LegacyPorts, StandardVga.PortCount), ("vga window", vga.LegacyWindow, StandardVga.WindowRange.Size),
            ("vga dispi", vga.BochsPorts, StandardVga.DispiPortCount), ("vga bar2", vga.Handler(2)!, StandardVga.RegisterSize),
        ]);
        rig.Resettables.AddRange([uart, cmos, port92, reset, pm, command, function.Core]);
        rig.Handlers.AddRange(
        [
            ("uart", uart, 8), ("cmos", cmos, 2), ("port 92", port92, 1),
            ("reset", reset, 1), ("pm", pm, 128), ("pm command", command, 2), ("exit", new DebugExit(machine), 4),
            ("console", new DebugConsole(NullSerialBackend.Instance), 1), ("dummy", new DummyPort(), 1),
            ("bar0", function.Handler(0)!, 64 << 10), ("bar1", function.Handler(1)!, 4096), ("bar2", function.Handler(2)!, 64UL << 30),
            ("bar4", function.Handler(4)!, 4), ("bar5", function.Handler(5)!, 256), ("rom", function.Handler(6)!, 2048),
        ]);
        return rig;
    }

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(3)]
    public void No_access_makes_a_device_throw_and_reads_fit_their_size(int seed)
    {
        Random random = new(seed);
        Rig rig = Make();
        for (int i = 0; i < 200_000; i++)
        {
            (string name, IAccessHandler handler, ulong length) = rig.Handlers[random.Next(rig.Handlers.Count)];
            int size = Sizes[random.Next(random.Next(8) == 0 ? Sizes.Length : 4)];
            ulong offset = random.Next(16) switch
            {
                0 => (ulong)random.NextInt64() * 2,
                1 => ulong.MaxValue - (ulong)random.Next(8),
                2 => length - (ulong)Math.Min(random.Next(8), (long)Math.Min(length, 8)),
                < 10 => (ulong)random.NextInt64((long)Math.Min(length, 128)),
                _ => (ulong)random.NextInt64((long)length),
            };
            AccessResult result = AccessResult.Ok;
            ulong value = 0;
            if (random.Next(2) == 0)
            {
                result = handler.Read(offset, size, out value);
            }
            else
            {
                result = handler.Write(offset, size, random.Next(3) == 0 ? (ulong)random.Next(256) : (ulong)random.NextInt64());
            }

            bool starts = offset < length && (size is 1 or 2 or 4 or 8);
            if (!starts)
            {
                Assert.True(result == AccessResult.Unclaimed, $"{name}: {size} bytes at 0x{offset:x} were claimed");
            }
            else if (result == AccessResult.Ok)
            {
                Assert.True(value <= AccessWidth.AllOnes(size), $"{name}: {size} bytes at 0x{offset:x} read 0x{value:x}");
            }

            if (random.Next(64) == 0)
            {
                rig.Clock.Advance(TimeSpan.FromMicroseconds(random.Next(random.Next(2) == 0 ? 500 : 3_000_000)));
            }

            if (random.Next(5000) == 0)
            {
                rig.Resettables[random.Next(rig.Resettables.Count)].Reset();
            }
        }
    }

    [Fact]
    public async Task Devices_take_accesses_from_several_threads_at_once()
    {
        Rig rig = Make();
        Task[] threads = [.. Enumerable.Range(0, 4).Select(seed => Task.Run(() =>
        {
            Random random = new(seed);
            for (int i = 0; i < 50_000; i++)
            {
                (_, IAccessHandler handler, ulong length) = rig.Handlers[random.Next(rig.Handlers.Count)];
                ulong offset = (ulong)random.NextInt64((long)Math.Min(length, 2048));
                handler.Read(offset, Sizes[random.Next(4)], out _);
                handler.Write(offset, Sizes[random.Next(4)], (ulong)random.Next(256));
            }
        }, TestContext.Current.CancellationToken))];
        await Task.WhenAll(threads);
    }
}
