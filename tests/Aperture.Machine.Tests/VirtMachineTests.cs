using System.Buffers.Binary;
using Aperture.Configuration;
using Aperture.Hypervisor;
using Aperture.Machine.Tests.Fakes;
using Aperture.Placement.Platforms;
using Aperture.TestKit.Parts.Kernels;
using Aperture.Watch;

namespace Aperture.Machine.Tests;

/// <summary>The virt machine, put together as <c>run</c> does, on a hypervisor that is not there.</summary>
public sealed class VirtMachineTests : IDisposable
{
    private const ulong Pinned = 0x6B80_0000_0000;
    private const uint DataRegister = 0;

    private readonly TemporaryFile _kernel = new(SyntheticKernels.Arm64());
    private readonly TemporaryFolder _folder = new();

    private string Serial => Path.Join(_folder.Path, "serial");

    public void Dispose()
    {
        _kernel.Dispose();
        _folder.Dispose();
    }

    [Fact]
    public void A_guest_finds_its_kernel_its_tree_its_console_and_a_pinned_BAR_again_after_each_reset()
    {
        List<string> seen = [];
        FakeHypervisor hypervisor = On((cpu, starts) =>
        {
            // Vendor and device id of the test device by ECAM, its first word at the pin, then a letter, then PSCI's words.
            seen.Add($"{cpu.MmioRead(VirtMap.EcamStart + (1 << 15), 4):x} {cpu.MmioRead(new GuestAddress(Pinned), 4):x}");
            cpu.MmioWrite(VirtMap.Uart.Start + DataRegister, 4, 'A');
            cpu.Stopped(new VcpuStop(starts < 3 ? VcpuStopKind.Reset : VcpuStopKind.PowerOff, 0, "the guest said so"));
        });
        using (VirtualMachine machine = Create(
            hypervisor, "--mmio-window 0x400000000000:0x400000000000", "--device test,id=t0,bar0=mem64p:64K,bars=bar0@0x6b8000000000"))
        {
            Assert.Equal(new MachineOutcome(0, "the guest said so"), machine.Run());
            string[] starts = [.. hypervisor.Vm!.OwnVcpus.Calls.Where(call => call.StartsWith("reset", StringComparison.Ordinal))];
            Assert.Equal(3, starts.Length);
            Assert.All(starts, start => Assert.Equal("reset to 0x40000000 with 0x40200000", start));
            Assert.Equal(2, hypervisor.Vm.ControllerResets);
        }

        Assert.Equal(Enumerable.Repeat("1a9e7 52545041", 3), seen);
        Assert.Equal("AAA", File.ReadAllText(Serial));
    }

    [Fact]
    public void The_tree_is_in_RAM_where_X0_says()
    {
        using MachinePlan plan = MachinePlan.Create(Config("--cpus 3"), Hypervisors.LimitsOf(Config(), 48));
        using Memory.GuestRam ram = Memory.GuestRam.Create([.. plan.Map.Ram.Pieces]);
        using Board.Virt.VirtBoard board = new(
            new Board.BoardParts(plan.Map, [], new FakeVm(FakeHypervisor.Kind.Whole, (_, _) => { }), new EventHub(TimeProvider.System)),
            new Board.Virt.VirtParts(ram, _ => new TestKit.Devices.FakeLine(), TimeProvider.System));
        Hypervisor.Arm64.BootState boot = (Hypervisor.Arm64.BootState)plan.Boot!.Prepare(board.Board, ram);
        Assert.Equal(0xD00D_FEEDu, BinaryPrimitives.ReadUInt32BigEndian(ram.AsSpan(boot.DeviceTree, 4)));
        Assert.Equal("MZ"u8.ToArray(), ram.AsSpan(boot.ProgramCounter, 2).ToArray());
        Assert.Equal(Hypervisor.Arm64.BootState.MaskedEl1, boot.ProcessorState);
    }

    [Fact]
    public void An_assigned_device_is_refused_where_messages_have_no_way_to_a_processor()
    {
        HypervisorLimits limits = Hypervisors.LimitsOf(Config(), 48);
        limits = limits with { Arm64 = limits.Arm64! with { HasIts = false } };
        using MachinePlan plan = MachinePlan.Create(Config("--device test,id=t0"), limits);
        ApertureException refused = Assert.Throws<ApertureException>(
            () => Kinds.VirtMachine.Instance.Start(Config("--device vfio,host=01:00.0"), plan.Map, null!, limits));
        Assert.StartsWith("--device vfio needs an interrupt translation service", refused.Message, StringComparison.Ordinal);
        Assert.Equal(ApertureException.HostFailure, refused.ExitCode);
    }

    [Theory]
    [InlineData("--device vga", "--machine virt has no vga")]
    [InlineData("--device debug-exit", "--machine virt has no debug-exit")]
    public void What_only_a_PC_has_is_refused(string option, string sentence) => Assert.StartsWith(
        sentence,
        Assert.Throws<ApertureException>(() => MachinePlan.Create(Config(option), Hypervisors.LimitsOf(Config(), 48))).Message,
        StringComparison.Ordinal);

    [Fact]
    public void On_another_host_it_says_where_it_runs_once_everything_else_is_right()
    {
        Assert.SkipWhen(Hypervisors.RunsHere(BoardKind.Virt), "is its host");
        using IHypervisor hypervisor = Hypervisors.Open(Config());
        Assert.NotNull(hypervisor.Limits.Arm64);
        Assert.Contains("use --accel lab", Assert.Throws<ApertureException>(hypervisor.CreateVm).Message, StringComparison.Ordinal);
    }

    private static FakeHypervisor On(Action<IVcpuExits, int> guest) =>
        new(FakeHypervisor.Kind.Whole, guest) { Limits = Hypervisors.LimitsOf(new MachineConfig { Board = BoardKind.Virt }, 48) };

    private VirtualMachine Create(FakeHypervisor hypervisor, params string[] options) =>
        VirtualMachine.Create(Config([$"--serial file={Serial}", .. options]), TimeProvider.System, hypervisor, new EventHub(TimeProvider.System));

    private MachineConfig Config(params string[] options) => ConfigReader.Read(
    [
        new("--machine", "virt"), new("--kernel", _kernel.Path), .. options.Select(o => o.Split(' ', 2)).Select(o => new Setting(o[0], o[1])),
    ]);
}
