using Aperture.Configuration;
using Aperture.Hypervisor;
using Aperture.Machine.Control;
using Aperture.Machine.Tests.Fakes;
using Aperture.Watch;

namespace Aperture.Machine.Tests;

/// <summary>A whole machine, put together as <c>run</c> does, on a hypervisor that is not there.</summary>
public sealed class AssemblyTests : IDisposable
{
    private const ushort ConfigAddress = 0xCF8;
    private const ushort ConfigData = 0xCFC;
    private const ushort ExitPort = 0xF4;
    private const byte TestDevice = 4;
    private const uint BarAddress = 0xE000_0000;
    private const uint Scratch = 0x10;
    private readonly TemporaryFolder _folder = new();

    private string Events => Path.Join(_folder.Path, "events");

    public void Dispose() => _folder.Dispose();

    [Fact]
    public void A_backend_without_vCPUs_and_slots_answers_a_guest_that_another_runs()
    {
        uint identity = 0;
        string? toldMemory = null;
        string? toldPort = null;
        FakeHypervisor? hypervisor = null;
        hypervisor = new FakeHypervisor(FakeHypervisor.Kind.DeviceModel, (cpu, _) =>
        {
            identity = ReadConfig(cpu, 0, 0);
            PlaceBar(cpu);
            toldMemory = hypervisor!.Vm!.Memory.At(BarAddress);
            toldPort = hypervisor.Vm.Ports.At(ExitPort);
            cpu.MmioWrite(new GuestAddress(BarAddress + Scratch), 4, 0x1234_5678);
            cpu.PortWrite(ExitPort, 1, (byte)cpu.MmioRead(new GuestAddress(BarAddress + Scratch), 4));
        });
        using (VirtualMachine machine = Create(hypervisor))
        {
            hypervisor.Vm!.RunGuest();
            Assert.Equal(new MachineOutcome(0xF1, "the guest wrote the debug-exit port"), machine.Run());
            Assert.Empty(hypervisor.Vm.Table.Table);
        }

        Assert.Equal(0x29C0_8086u, identity);
        Assert.Equal("t0.bar0", toldMemory);
        Assert.Equal("debug-exit-f4", toldPort);
        Assert.True(hypervisor.IsDisposed);
        string[] events = File.ReadAllLines(Events);
        string verified = Assert.Single(events, line => line.Contains("\"map.verified\",\"when\":\"end\"", StringComparison.Ordinal));
        Assert.Contains("\"count\":0", verified, StringComparison.Ordinal);
        Assert.DoesNotContain(events, line => line.Contains("\"slot.", StringComparison.Ordinal));
    }

    [Fact]
    public void A_reset_ends_the_run_where_the_vCPUs_are_another_s()
    {
        FakeHypervisor hypervisor = new(FakeHypervisor.Kind.DeviceModel, (cpu, _) => cpu.PortWrite(0xCF9, 1, 6));
        using VirtualMachine machine = Create(hypervisor);
        hypervisor.Vm!.RunGuest();
        Assert.Equal("reset through port 0xcf9", machine.Run().Reason);
    }

    [Fact]
    public void A_guest_is_reset_and_runs_again_until_it_asks_for_the_end()
    {
        FakeHypervisor hypervisor = new(FakeHypervisor.Kind.Whole, (cpu, starts) =>
        {
            bool isFresh = (ReadConfig(cpu, TestDevice, 0x10) & ~0xFu) == 0;
            PlaceBar(cpu);
            if (starts < 3)
            {
                cpu.PortWrite(0xCF9, 1, isFresh ? 6u : 0u);
            }
            else
            {
                cpu.PortWrite(ExitPort, 1, isFresh ? 0x10u : 0u);
            }
        });
        using VirtualMachine machine = Create(hypervisor);
        FakeVm vm = hypervisor.Vm!;
        Assert.Equal("ram-low", vm.Table.At(0x10_0000)!.Value.Region.Name);
        Assert.Equal(new MachineOutcome(0x21, "the guest wrote the debug-exit port"), machine.Run());
        Assert.Equal(["reset", "resume", "stop", "reset", "resume", "stop", "reset", "resume", "stop"], vm.OwnVcpus.Calls);
        Assert.Equal((2, 0), (vm.ControllerResets, vm.Table.Refusals));
    }

    [Fact]
    public void A_vCPU_in_system_management_mode_sees_what_others_do_not_and_commands_reach_it_as_interrupts()
    {
        const uint Tseg = (16 << 20) - (1 << 20);
        ulong[] seen = new ulong[3];
        FakeHypervisor hypervisor = new(FakeHypervisor.Kind.Whole, (cpu, _) =>
        {
            cpu.PortWrite(ConfigAddress, 4, 0x8000_009C);
            cpu.PortWrite(0xCFE, 1, 1);
            cpu.PortWrite(0xCFD, 1, 0x08);
            IVcpuExits mode = cpu.InManagementMode;
            mode.MmioWrite(new GuestAddress(Tseg), 4, 0x1234_5678);
            cpu.MmioWrite(new GuestAddress(Tseg), 4, 0x5555_5555);
            seen = [cpu.MmioRead(new GuestAddress(Tseg), 4) & uint.MaxValue, mode.MmioRead(new GuestAddress(Tseg), 4), mode.PortRead(0xCFD, 1) & 0xFF];
            PlaceAcpi(cpu);
            cpu.PortWrite(0x630, 4, 0x21);
            cpu.PortWrite(0xB2, 1, 0x77);
            cpu.PortWrite(ExitPort, 1, 0);
        });
        using VirtualMachine machine = Create(hypervisor, "--smm", "on");
        FakeVm vm = hypervisor.Vm!;
        Assert.Equal("ram-low", vm.ManagementTable.At(Tseg)!.Value.Region.Name);
        machine.Run();
        Assert.Equal([uint.MaxValue, 0x1234_5678, 0x0A], seen);
        Assert.Equal(("tseg", null), (vm.ManagementTable.At(Tseg)!.Value.Region.Name, vm.Table.At(Tseg)));
        Assert.Equal(["reset", "resume", "SMI", "stop"], vm.OwnVcpus.Calls);
        string[] events = File.ReadAllLines(Events);
        string verified = Assert.Single(events, line => line.Contains("\"map.verified\",\"when\":\"end\"", StringComparison.Ordinal));
        Assert.Contains("\"count\":0", verified, StringComparison.Ordinal);
        string added = Assert.Single(events, line => line.Contains("\"slot.added\",\"region\":\"tseg\"", StringComparison.Ordinal));
        Assert.Contains("\"mode\":\"smm\"", added, StringComparison.Ordinal);
    }

    [Fact]
    public void What_is_wrong_with_the_command_line_is_told_before_what_is_wrong_with_the_host()
    {
        FakeHypervisor hypervisor = new(FakeHypervisor.Kind.Whole, (_, _) => { }) { Refusal = "the fake refuses." };
        ApertureException wrong = Assert.Throws<ApertureException>(() => Create(hypervisor, "--firmware", Path.Join(_folder.Path, "absent.rom")));
        Assert.Contains("absent.rom", wrong.Message, StringComparison.Ordinal);
        Assert.True(hypervisor.IsDisposed);
        hypervisor = new(FakeHypervisor.Kind.Whole, (_, _) => { }) { Refusal = "the fake refuses." };
        Assert.Equal("the fake refuses.", Assert.Throws<ApertureException>(() => Create(hypervisor)).Message);
        Assert.True(hypervisor.IsDisposed);
    }

    [Fact]
    public void What_the_hypervisor_keeps_for_itself_is_kept_free()
    {
        FakeHypervisor hypervisor = new(FakeHypervisor.Kind.Whole, (_, _) => { });
        ApertureException refused = Assert.ThrowsAny<ApertureException>(
            () => Create(hypervisor, "--device", "test,id=pinned,addr=05.0,bar0=mem32:4K:ram,bars=bar0@0xfeffd000"));
        Assert.Contains("the pages that the fake keeps", refused.Message, StringComparison.Ordinal);
        Assert.True(hypervisor.IsDisposed);
    }

    [Theory]
    [InlineData("--serial file=", "")]
    [InlineData("--events ", "")]
    [InlineData("--device debugcon,file=", "")]
    [InlineData("--device vga,rom=none,text=", "")]
    [InlineData("--screenshot ", "--device vga,rom=none")]
    public void A_pipe_that_nobody_reads_is_waited_for_with_a_sentence_until_the_user_ends_the_wait(string output, string device)
    {
        using TemporaryFolder folder = new();
        using CancellationTokenSource end = new();
        EventHub hub = new(TimeProvider.System);
        Person person = new(end.Cancel);
        hub.Subscribe(person);
        FakeHypervisor hypervisor = new(FakeHypervisor.Kind.Whole, (cpu, _) => cpu.PortWrite(ExitPort, 1, 1));
        string[] wanted = [output + folder.Pipe("pipe"), .. device.Length > 0 ? new[] { device } : []];
        Assert.ThrowsAny<OperationCanceledException>(() =>
        {
            using VirtualMachine machine = Create(hypervisor, hub, wanted, end.Token);
            machine.Run();
        });
        Assert.Equal([$"{folder.In("pipe")} is a pipe that nobody reads: waiting for a reader."], person.Heard);
        Assert.True(hypervisor.IsDisposed);
    }

    [Fact]
    public void A_request_made_before_there_are_vCPUs_is_not_lost()
    {
        using MachineRequests requests = new();
        requests.Stop("early");
        Stoppable vcpus = new();
        requests.Stops(vcpus);
        Assert.Equal(1, vcpus.Requests);
        requests.Wait();
        Assert.Equal("early", requests.Current().Reason);
    }

    private VirtualMachine Create(FakeHypervisor hypervisor, params string[] option) =>
        Create(hypervisor, null, option.Length == 2 ? [string.Join(" ", option)] : [], CancellationToken.None);

    private VirtualMachine Create(FakeHypervisor hypervisor, EventHub? hub, string[] others, CancellationToken cancellation)
    {
        string firmware = Path.Join(_folder.Path, "firmware.rom");
        File.WriteAllBytes(firmware, new byte[0x1_0000]);
        List<Setting> options =
        [
            new("--firmware", firmware), new("--serial", "null"), new("--memory", "16M"), new("--device", "debug-exit"), new("--events", Events),
            new("--device", "test,id=t0,addr=04.0,bar0=mem32:4K:trap"),
        ];
        foreach (string[] option in others.Select(o => o.Split(' ', 2)))
        {
            options.RemoveAll(o => o.Name == option[0] && option[0] != "--device");
            options.Add(new(option[0], option[1]));
        }

        return VirtualMachine.Create(ConfigReader.Read(options), TimeProvider.System, hypervisor, hub, cancellation);
    }

    private static uint ReadConfig(IVcpuExits cpu, byte device, uint offset)
    {
        cpu.PortWrite(ConfigAddress, 4, 0x8000_0000 | (uint)device << 11 | offset);
        return cpu.PortRead(ConfigData, 4);
    }

    private static void PlaceAcpi(IVcpuExits cpu)
    {
        cpu.PortWrite(ConfigAddress, 4, 0x8000_F840);
        cpu.PortWrite(ConfigData, 4, 0x600);
        cpu.PortWrite(ConfigAddress, 4, 0x8000_F844);
        cpu.PortWrite(ConfigData, 1, 0x80);
    }

    private static void PlaceBar(IVcpuExits cpu)
    {
        cpu.PortWrite(ConfigAddress, 4, 0x8000_0010 | TestDevice << 11);
        cpu.PortWrite(ConfigData, 4, BarAddress);
        cpu.PortWrite(ConfigAddress, 4, 0x8000_0004 | TestDevice << 11);
        cpu.PortWrite(ConfigData, 2, 2);
    }

    /// <summary>Hears notices, and does something about each.</summary>
    private sealed class Person(Action acts) : IEventSubscriber
    {
        public List<string> Heard { get; } = [];

        public bool TakesEvents => false;

        public void Take(in WatchedEvent happened)
        {
            Heard.Add(happened.Notice!);
            acts();
        }

        public void Flush()
        {
        }
    }

    private sealed class Stoppable : IVcpus
    {
        public int Requests { get; private set; }

        public bool RequestStop() => ++Requests == 1;

        public void Reset(EntryState boot) => throw new InvalidOperationException();

        public void Resume() => throw new InvalidOperationException();

        public void Stop() => throw new InvalidOperationException();

        public IDisposable StopVcpus() => throw new InvalidOperationException();
    }
}
