using Aperture.Hypervisor;
using Aperture.Hypervisor.Arm64;
using Aperture.Linux;
using Aperture.Linux.Kvm;
using static Aperture.Kvm.Tests.Arm64.Instructions;

namespace Aperture.Kvm.Tests.Arm64;

/// <summary>Guests on an arm64 host's KVM. Elsewhere they are skipped; LabArm64Tests in Aperture.Guest.Tests runs them in an emulated arm64 machine.</summary>
public class Arm64GuestTests
{
    // PSCI (Arm DEN 0022): CPU_ON of SMC64, SYSTEM_OFF, SYSTEM_RESET.
    private const uint CpuOn = 0xC400_0003;
    private const uint SystemOff = 0x8400_0008;
    private const uint SystemReset = 0x8400_0009;

    private static readonly uint[] End = [.. Load(9, Arm64Guest.Done), Store(4, 31, 9), Stay];

    [Fact]
    public void The_probe_of_an_arm64_host_runs_a_guest()
    {
        Arm64Guest.RequireKvm();
        KvmAbility ability = KvmSystem.Probe64Bit();
        Assert.True(ability.Runs64Bit, ability.Sentence);
    }

    [Fact]
    public void Writes_of_every_width_arrive_with_address_and_value()
    {
        using Arm64Guest guest = Arm64Guest.Start(
            1, Load(1, 0x1122_3344_5566_7788), Load(2, Arm64Guest.Device + 8), [Store(1, 1, 2), Store(2, 1, 2), Store(4, 1, 2), Store(8, 1, 2)], End);
        Assert.Equal(["1@8=88", "2@8=7788", "4@8=55667788", "8@8=1122334455667788"], guest.Run());
    }

    [Fact]
    public void Reads_get_what_the_device_answers_at_their_width()
    {
        uint[] echo = [.. new[] { 1, 2, 4, 8 }.SelectMany(size => new[] { Fetch(size, 1, 2), Store(8, 1, 2) })];
        using Arm64Guest guest = Arm64Guest.Start(1, Load(2, Arm64Guest.Device), echo, End);
        for (int i = 0; i < 4; i++)
        {
            guest.Answers.Enqueue(0x8877_6655_4433_2211);
        }

        Assert.Equal(["8@0=11", "8@0=2211", "8@0=44332211", "8@0=8877665544332211"], guest.Run());
    }

    [Fact]
    public void The_boot_processor_has_its_device_tree_in_X0_and_each_run_begins_anew()
    {
        using Arm64Guest guest = Arm64Guest.Start(1, Load(2, Arm64Guest.Device), [Store(8, 0, 2), Store(8, 5, 2)], Load(5, 7), End);
        Assert.Equal(["8@0=4abc0000", "8@0=0"], guest.Run(0x4ABC_0000));
        Assert.Equal(["8@0=4def0000", "8@0=0"], guest.Run(0x4DEF_0000));
    }

    [Theory]
    [InlineData(SystemOff, VcpuStopKind.PowerOff)]
    [InlineData(SystemReset, VcpuStopKind.Reset)]
    public void What_the_guest_asks_of_PSCI_stops_it(uint function, VcpuStopKind kind)
    {
        using Arm64Guest guest = Arm64Guest.Start(1, Load(0, function), [Hypercall], End);
        Assert.Empty(guest.Run());
        Assert.Equal((kind, 0), Assert.Single(guest.Stops.Select(stop => (stop.Kind, stop.Vcpu))));
    }

    [Fact]
    public void A_vCPU_that_is_off_is_started_by_its_affinity_and_off_again_after_a_reset()
    {
        const int Second = 17;
        const int Preamble = 4 + 4 + 4 + 4;
        uint affinity = Affinity.Of(Second).Value;
        uint[][] program =
        [
            Load(0, CpuOn), Load(1, affinity), Load(2, Arm64Guest.Ram + (4 * (Preamble + 2))), Load(3, 0xC0DE), [Hypercall, Stay],

            // What the second one runs: its context is in X0.
            Load(2, Arm64Guest.Device), [ReadAffinity(1), Store(8, 1, 2), Store(8, 0, 2)], End,
        ];
        using Arm64Guest guest = Arm64Guest.Start(Second + 1, program);
        string[] expected = [$"8@0={0x8000_0000 | affinity:x}", "8@0=c0de"];
        Assert.Equal(expected, guest.Run());
        Assert.Equal(expected, guest.Run());
    }

    [Fact]
    public void An_access_that_the_processor_does_not_decode_is_told_with_its_address()
    {
        using Arm64Guest guest = Arm64Guest.Start(1, Load(2, Arm64Guest.Device + 0x10), [FetchPair(3, 4, 2)], End);
        guest.Run();
        VcpuStop stop = Assert.Single(guest.Stops);
        Assert.Equal(VcpuStopKind.UndecodedAccess, stop.Kind);
        Assert.Contains("vCPU 0 read from 0x9000010,", stop.Sentence, StringComparison.Ordinal);
        Assert.Contains("at pc 0x40000010;", stop.Sentence, StringComparison.Ordinal);
    }

    [Fact]
    public void A_line_s_level_is_pending_at_the_distributor_while_it_is_asserted_and_gone_after_a_reset()
    {
        const int Spi = 5;

        // GICD_ISPENDR1 (IHI 0069, 12.9.29) until the input's bit is set, between two writes; the first has the line asserted.
        using Arm64Guest guest = Arm64Guest.Start(
            1,
            Load(2, Arm64Guest.Device),
            Load(3, Arm64Guest.Distributor + 0x204),
            [Fetch(4, 1, 3), Store(4, 1, 2), Fetch(4, 1, 3), IfClear(1, Spi, -1), Store(4, 1, 2)],
            End);
        IInterruptLine line = guest.Vm.Line(Spi);
        int writes = 0;
        guest.Written = _ => line.Set(++writes % 2 == 1);
        Assert.Equal(["4@0=0", "4@0=20"], guest.Run());
        guest.Vm.ResetInterruptControllers();
        Assert.Equal(["4@0=0", "4@0=20"], guest.Run());
    }

    [Fact]
    public void Messages_are_dropped_while_the_guest_has_not_enabled_the_translation_and_events_have_routes_to_it_only()
    {
        using Arm64Guest guest = Arm64Guest.Start(1, End);
        MsiMessage message = new(Arm64Guest.Gic.Doorbell!.Value, 3);
        Assert.True(guest.Vm.Takes(message.Address));
        Assert.False(guest.Vm.Takes(message.Address + 4));
        Assert.False(guest.Vm.SignalMsi(message, new Bdf(0, 2, 0)));
        Assert.False(guest.Vm.SignalMsi(message with { Address = message.Address + 4 }, new Bdf(0, 2, 0)));
        Assert.Equal(2, guest.Vm.DroppedMessages);

        IGuestInterrupts events = ((IVm)guest.Vm).EventInterrupts!;
        using IMessageRoute route = events.Reserve()!;
        using EventFd trigger = new();
        Assert.True(events.TryRoute([new RoutedMessage(route, message) { Requester = new Bdf(0, 2, 0) }]));
        Assert.True(route.TryConnect(trigger));
        route.Disconnect();
        Assert.Null(events.ConnectLevel(trigger, trigger, 3, null));
        Assert.NotEqual(0, guest.Vm.Check(KvmCapability.MessageDeviceId));
        Assert.Empty(guest.Run());
    }

    [Fact]
    public void More_address_bits_than_the_host_has_are_refused_in_a_sentence()
    {
        Arm64Guest.RequireKvm();
        using KvmSystem system = KvmSystem.Open();
        KvmVmOptions options = new() { Arm64 = new Kvm.Arm64.Arm64Template(1, 60, Arm64Guest.Gic, default) };
        Assert.StartsWith(
            "the guest was to have 60 physical address bits and this host's KVM gives ",
            Assert.Throws<ApertureException>(() => system.CreateVm(options)).Message,
            StringComparison.Ordinal);
    }

    [Fact]
    public void What_the_hypervisor_says_of_itself_is_what_its_VM_has()
    {
        Arm64Guest.RequireKvm();
        using KvmHypervisor hypervisor = KvmHypervisor.OpenArm64(1, null, Arm64Guest.Gic);
        Assert.InRange(hypervisor.Limits.PhysicalAddressBits, 32, 52);
        Assert.Empty(hypervisor.Limits.Kept);
        Assert.False(hypervisor.Limits.HasManagementMode);
        using IVm vm = hypervisor.CreateVm();
        using IExitSource exits = vm.PrepareExits();
        Assert.Equal(hypervisor.Limits.Arm64!.HasIts, ((KvmVm)vm).Check(KvmCapability.MessageDeviceId) != 0);
    }
}
