using Aperture.Configuration;
using Aperture.Devices.TestDevice;
using Aperture.Hypervisor;
using Aperture.Machine.Control;
using Aperture.Machine.Tests.Fakes;
using Aperture.Machine.Verification;
using Aperture.Memory;
using Aperture.TestKit.Devices;
using Aperture.VfioUser.Server;
using Aperture.Watch;

namespace Aperture.Machine.Tests.Assigned;

/// <summary>A whole machine with a device that another process serves; the guest is a program of the test's.</summary>
public sealed class ServedDeviceTests : IDisposable
{
    private const uint Registers = 0xE000_0000;
    private const uint Memory = 0xE010_0000;
    private const uint Ids = 0x0001_0000 | ServedTestDevice.Vendor;
    private const int Patience = 30_000;

    private readonly TemporaryFolder _folder = new();
    private readonly ServedTestDevice _served = new();
    private readonly EventHub _hub = new(TimeProvider.System);
    private readonly Listener _heard = new();

    // What each server reaches, of the machine that runs.
    private Func<IReadOnlyList<ServerMappings>>? _mappings;

    public ServedDeviceTests() => _hub.Subscribe(_heard);

    public void Dispose()
    {
        _served.Dispose();
        _folder.Dispose();
    }

    [Fact]
    public void A_device_whose_server_is_gone_is_not_there_and_is_there_as_after_a_reset_when_it_is_back()
    {
        List<uint> seen = [];
        Run(
            (cpu, view) =>
            {
                Program(cpu);
                cpu.MmioWrite(new GuestAddress(Registers + TestRegisters.Scratch), 4, 0x1234);
                seen.Add((uint)cpu.MmioRead(new GuestAddress(Registers + TestRegisters.Scratch), 4));
                Assert.NotNull(view.At(Memory));
                _served.Stop();
                Until(() => ReadConfig(cpu, 0) == uint.MaxValue && view.At(Memory) is null, "the device is gone");
                seen.Add((uint)cpu.MmioRead(new GuestAddress(Registers), 4));
                cpu.MmioWrite(new GuestAddress(Registers + TestRegisters.Scratch), 4, 0x5678);
                WriteConfig(cpu, 4, 6);
                _served.Start();
                Until(() => ReadConfig(cpu, 0) == Ids, "the device is back");
                seen.AddRange([ReadConfig(cpu, 4) & 7, ReadConfig(cpu, 0x10), ReadConfig(cpu, 0x18) & ~0xFu]);
                Program(cpu);
                seen.Add((uint)cpu.MmioRead(new GuestAddress(Registers + TestRegisters.Scratch), 4));
                Assert.NotNull(view.At(Memory));

                // What it reaches of the guest's memory is what it had reached before.
                cpu.MmioWrite(new GuestAddress(0x5000), 4, 0xC0FFEE);
                Copy(cpu, 0x5000, 0x6000);
                seen.Add((uint)cpu.MmioRead(new GuestAddress(0x6000), 4));
            },
            _served.Option());
        Assert.Equal([0x1234, uint.MaxValue, 0, 0, 0, 0, 0xC0FFEE], seen);
        Assert.Equal(
            [
                $"the server of {_served.Socket} ended the connection (EPIPE); the guest reads all-ones from its device.",
                $"the server of {_served.Socket} is back; its device is as after a reset, so the guest has to look for it again, or be reset.",
            ],
            _heard.Notices);
    }

    [Fact]
    public void A_served_device_interrupts_by_its_pin_until_the_guest_has_served_it()
    {
        uint status = 0;
        Run(
            (cpu, view) =>
            {
                Program(cpu);
                Assert.DoesNotContain(view.Lines, line => line.Level);
                cpu.MmioWrite(new GuestAddress(Registers + TestRegisters.InterruptTrigger), 4, 0);
                Until(() => (ReadConfig(cpu, 4) >> 16 & 8) != 0, "the device says that it interrupts");

                // As long as it does, it does again whenever it is unmasked.
                Until(() => view.Lines.Any(line => line.Edges >= 3), "an input is raised and raised again");
                status = (uint)cpu.MmioRead(new GuestAddress(Registers + TestRegisters.InterruptStatus), 4);
                cpu.MmioWrite(new GuestAddress(Registers + TestRegisters.InterruptStatus), 4, 1);
                Until(() => (ReadConfig(cpu, 4) >> 16 & 8) == 0 && !view.Lines.Any(line => line.Level), "it ends");
            },
            _served.Option());
        Assert.Equal(1u, status & 1);
    }

    [Fact]
    public void A_guest_that_is_reset_finds_the_device_of_a_server_that_was_replaced_meanwhile()
    {
        uint found = 0;
        Run(
            (cpu, _, starts) =>
            {
                if (starts == 1)
                {
                    Program(cpu);
                    _served.Stop();
                    Until(() => ReadConfig(cpu, 0) == uint.MaxValue, "the device is gone");
                    _served.Start();
                    cpu.PortWrite(0xCF9, 1, 6);
                    return;
                }

                found = ReadConfig(cpu, 0);
                Program(cpu);
                cpu.PortWrite(0xF4, 1, 1);
            },
            _served.Option());
        Assert.Equal(Ids, found);
        Assert.Equal(2, _heard.Notices.Count);
    }

    [Fact]
    public void A_server_that_is_back_with_another_device_is_told_once_and_does_not_get_the_guest()
    {
        Run(
            (cpu, view) =>
            {
                Program(cpu);
                _served.Stop();
                Until(() => ReadConfig(cpu, 0) == uint.MaxValue, "the device is gone");
                _served.Start(memory: 2 * ServedTestDevice.Memory);
                Until(() => _heard.Notices.Count == 2, "the other device is told of");
                Assert.Equal(uint.MaxValue, ReadConfig(cpu, 0));
                _served.Stop();
                _served.Start();
                Until(() => ReadConfig(cpu, 0) == Ids, "the device is back");
                Program(cpu);
            },
            _served.Option());
        Assert.Equal(3, _heard.Notices.Count);
        Assert.StartsWith(
            $"the server of {_served.Socket} is back with another device (region 2 of 128K instead of 64K, or other areas to map in it)",
            _heard.Notices[1], StringComparison.Ordinal);
    }

    [Fact]
    public void A_server_that_does_not_take_what_the_guest_s_map_has_loses_the_device_and_the_guest_lives()
    {
        // What a PC has at its start, and not one run more.
        int runs = 0;
        Run((_, _) => runs = Dma().Count, _served.Option());
        Assert.InRange(runs, 1, 64);
        _heard.Forget();
        _served.Stop();
        _served.Start(limits: new ServerLimits { MaxDmaMaps = (uint)runs });
        Run(
            (cpu, view) =>
            {
                Program(cpu);

                // RAM at 0xF0000 that can be read and written, apart from RAM below (PAM0 and PAM1): more runs.
                WriteConfig(cpu, 0x90, 0x1030, device: 0, size: 2);
                Until(() => ReadConfig(cpu, 0) == uint.MaxValue && view.At(Memory) is null, "the device is gone");
                Assert.NotNull(view.At(0x10_0000));
            },
            _served.Option());
        Assert.Contains($"the server of {_served.Socket} does not follow the guest's memory: ", Assert.Single(_heard.Notices), StringComparison.Ordinal);

        IReadOnlyList<AddressRange> Dma() => [.. _mappings!().Single().Mappings.Where(m => m.IsMapped).Select(m => m.Range)];
    }

    [Fact]
    public void A_device_that_is_plugged_into_a_machine_with_memory_of_its_own_reaches_it_by_messages_and_says_so()
    {
        string control = Path.Join(_folder.Path, "control");
        uint copied = 0;
        string[][] servers = new string[3][];
        Run(
            (cpu, _) =>
            {
                // Bus 1 behind the port, and a window for the BARs.
                WriteConfig(cpu, 0x18, 0x0001_0100, device: 5);
                WriteConfig(cpu, 0x20, 0xE010_E000, device: 5);
                WriteConfig(cpu, 4, 6, device: 5);
                servers[0] = Servers();
                using ControlClient client = ControlClient.Connect(control);
                client.Ask(new ControlRequest("device-add", new Dictionary<string, string> { ["device"] = _served.Option("port=rp0") })).Dispose();
                Program(cpu, bus: 1, device: 0);
                cpu.MmioWrite(new GuestAddress(0x5000), 4, 0xC0FFEE);
                Copy(cpu, 0x5000, 0x6000);
                copied = (uint)cpu.MmioRead(new GuestAddress(0x6000), 4);
                servers[1] = Servers();
                client.Ask(new ControlRequest("device-remove", new Dictionary<string, string> { ["id"] = "served", ["surprise"] = "true", ["wait"] = "10" }))
                    .Dispose();
                servers[2] = Servers();
            },
            null,
            "--root-port id=rp0,addr=05.0",
            $"--control {control}");
        Assert.Equal(0xC0FFEEu, copied);
        Assert.Equal([[], ["served"], []], servers);
        Assert.Equal(
            ["served reaches the guest's memory by messages, which is slow, because RAM is not shared; start the machine with --memory size=16M,shared=on."],
            _heard.Notices);

        string[] Servers() => [.. _mappings!().Select(server => server.Device)];
    }

    private void Run(Action<IVcpuExits, View> guest, string? device, params string[] options) => Run(
        (cpu, view, _) =>
        {
            guest(cpu, view);
            cpu.PortWrite(0xF4, 1, 1);
        },
        device,
        options);

    private void Run(Action<IVcpuExits, View, int> guest, string? device, params string[] options)
    {
        VirtualMachine? machine = null;
        Exception? failure = null;
        FakeHypervisor? hypervisor = null;
        hypervisor = new FakeHypervisor(FakeHypervisor.Kind.Whole, (cpu, starts) =>
        {
            try
            {
                guest(cpu, new View(machine!, hypervisor!.Vm!), starts);
            }
            catch (Exception fault)
            {
                failure = fault;
                cpu.PortWrite(0xF4, 1, 2);
            }
        });
        string firmware = Path.Join(_folder.Path, "firmware.rom");
        File.WriteAllBytes(firmware, new byte[0x1_0000]);
        List<Setting> settings =
        [
            new("--firmware", firmware), new("--serial", "null"), new("--memory", "16M"), new("--device", "debug-exit"),
            .. device is null ? Array.Empty<Setting>() : [new Setting("--device", device)],
            .. options.Select(o => o.Split(' ', 2)).Select(o => new Setting(o[0], o[1])),
        ];
        using (machine = VirtualMachine.Create(ConfigReader.Read(settings), TimeProvider.System, hypervisor, _hub))
        {
            _mappings = () => machine.Find().Servers;
            using Timer watchdog = new(_ => machine.Stop("the guest was not done in time"), null, 2 * Patience, Timeout.Infinite);
            MachineOutcome outcome = machine.Run();
            Assert.True(failure is null, failure?.ToString());
            Assert.Equal("the guest wrote the debug-exit port", outcome.Reason);
        }
    }

    private static void Until(Func<bool> condition, string what) => Assert.True(SpinWait.SpinUntil(condition, Patience), what);

    private static void Program(IVcpuExits cpu, byte bus = 0, byte device = 4)
    {
        WriteConfig(cpu, 0x10, Registers, device, bus: bus);
        WriteConfig(cpu, 0x18, Memory, device, bus: bus);
        WriteConfig(cpu, 4, 6, device, bus: bus);
        Assert.Equal(TestRegisters.Magic, (uint)cpu.MmioRead(new GuestAddress(Registers), 4));
    }

    private static void Copy(IVcpuExits cpu, uint from, uint to)
    {
        cpu.MmioWrite(new GuestAddress(Registers + TestRegisters.DmaSource), 4, from);
        cpu.MmioWrite(new GuestAddress(Registers + TestRegisters.DmaDestination), 4, to);
        cpu.MmioWrite(new GuestAddress(Registers + TestRegisters.DmaLength), 4, 4);
        cpu.MmioWrite(new GuestAddress(Registers + TestRegisters.DmaCommand), 4, 3);
        Until(() => (cpu.MmioRead(new GuestAddress(Registers + TestRegisters.DmaStatus), 4) & 1) != 0, "the copy is done");
    }

    private static uint ReadConfig(IVcpuExits cpu, uint offset)
    {
        cpu.PortWrite(0xCF8, 4, 0x8000_0000 | 4u << 11 | offset);
        return cpu.PortRead(0xCFC, 4);
    }

    private static void WriteConfig(IVcpuExits cpu, uint offset, uint value, byte device = 4, int size = 4, byte bus = 0)
    {
        cpu.PortWrite(0xCF8, 4, 0x8000_0000 | (uint)bus << 16 | (uint)device << 11 | offset & 0xFC);
        cpu.PortWrite((ushort)(0xCFC + (offset & 3)), size, value);
    }

    /// <summary>What the guest has where.</summary>
    private sealed class View(VirtualMachine machine, FakeVm vm)
    {
        public IReadOnlyCollection<FakeLine> Lines => vm.Lines;

        public string? At(ulong address)
        {
            FlatView view = machine.Board.Memory.View;
            int index = view.IndexOf(new GuestAddress(address));
            return index < 0 ? null : view.Ranges[index].Region.Name;
        }
    }

    private sealed class Listener : IEventSubscriber
    {
        private readonly List<string> _notices = [];

        public IReadOnlyList<string> Notices
        {
            get
            {
                lock (_notices)
                {
                    return [.. _notices];
                }
            }
        }

        public void Forget()
        {
            lock (_notices)
            {
                _notices.Clear();
            }
        }

        public bool TakesEvents => false;

        public void Take(in WatchedEvent happened)
        {
            if (happened.Notice is { } sentence)
            {
                lock (_notices)
                {
                    _notices.Add(sentence);
                }
            }
        }

        public void Flush()
        {
        }
    }
}
