using System.Text.Json;
using Iced.Intel;
using static Iced.Intel.AssemblerRegisters;

namespace Aperture.Machine.Tests.Guests;

/// <summary>A virtual machine's life: start, reset, stop, and what it leaves behind.</summary>
[Collection(LocalKvm.Name)]
public class LifeTests
{
    private static void OutByte(Assembler code, ushort port, byte value)
    {
        code.mov(edx, port);
        code.mov(al, value);
        code.@out(dx, al);
    }

    private static byte[] ResetsTwice(Action<Assembler> reset) => Payload.Build(code =>
    {
        Payload.SucceedAtThirdStart(code);
        reset(code);
        Payload.Spin(code);
    });

    [Fact]
    public void The_first_instruction_comes_from_the_images_last_16_bytes()
    {
        byte[] image = new byte[4096];

        // mov al, 5; out 0xf4, al; jmp $
        new byte[] { 0xB0, 0x05, 0xE6, 0xF4, 0xEB, 0xFE }.CopyTo(image, image.Length - 16);
        using Guest guest = new(image);
        Assert.Equal(Payload.CodeOf(5), guest.Run().ExitCode);
    }

    [Fact]
    public void A_guests_own_exit_code_3_is_not_a_failure_of_the_host()
    {
        using Guest guest = new(Payload.Build(code => Payload.Exit(code, 1)));
        MachineOutcome outcome = guest.Run();
        Assert.Equal((3, false), (outcome.ExitCode, outcome.Failed));
    }

    [Theory]
    [InlineData(0xCF9, 0x06)]
    [InlineData(0x64, 0xFE)]
    [InlineData(0x92, 0x01)]
    public void A_reset_through_a_port_starts_the_guest_again(ushort port, byte value) =>
        Guest.Succeeds(ResetsTwice(code => OutByte(code, port, value)));

    [Fact]
    public void A_triple_fault_starts_the_guest_again()
    {
        Guest.Succeeds(ResetsTwice(code =>
        {
            // An empty interrupt table: a selector that does not exist faults, and so does every attempt to handle that.
            code.mov(__dword_ptr[0x2000], 0);
            code.mov(__dword_ptr[0x2004], 0);
            code.lidt(__fword_ptr[0x2000]);
            code.mov(eax, 0x1000);
            code.mov(ds, eax);
        }));
    }

    [Fact]
    public void With_no_reboot_a_reset_ends_the_run_with_code_0()
    {
        using Guest guest = new(ResetsTwice(code => OutByte(code, 0xCF9, 0x06)), "--no-reboot");
        Assert.Equal(new MachineOutcome(0, "reset through port 0xcf9"), guest.Run());
    }

    [Fact]
    public void After_a_reset_the_chipset_is_in_its_reset_state_again()
    {
        Guest.Succeeds(
            Payload.Build(code =>
            {
                Payload.ConfigRead(code, 0, 0x60);
                Payload.Expect(code, 0xB000_0000, 1);
                Payload.ConfigRead(code, 4, 0x10);
                Payload.Expect(code, 0, 2);
                Payload.SucceedAtThirdStart(code);
                Payload.ConfigWrite(code, 0, 0x60, 0xC000_0001);
                Payload.ConfigWrite(code, 4, 0x10, 0xE000_0000);
                Payload.ConfigWrite(code, 4, 4, 2);
                OutByte(code, 0xCF9, 0x06);
                Payload.Spin(code);
            }),
            "--device test,id=a,addr=04.0,bar0=mem32:64K:ram");
    }

    [Theory]
    [InlineData(2)]
    [InlineData(4)]
    public void Machines_with_several_vCPUs_run_and_end(int cpus) => Guest.Succeeds(ResetsTwice(code => OutByte(code, 0xCF9, 0x06)), $"--cpus boot={cpus}");

    [Theory]
    [InlineData("--cpus 1")]
    [InlineData("--cpus 3")]
    public async Task Stop_ends_a_guest_that_spins(string cpus)
    {
        using Guest guest = new(Payload.Build(code =>
        {
            OutByte(code, 0x80, 1);
            Payload.Spin(code);
        }), cpus);
        Task<MachineOutcome> run = Task.Run(guest.Run, TestContext.Current.CancellationToken);
        await Task.Delay(100, TestContext.Current.CancellationToken);
        guest.Machine.Stop("pulled");
        Assert.Equal(new MachineOutcome(0, "pulled"), await run);
    }

    [Fact]
    public void A_stop_before_the_run_ends_it_at_once()
    {
        using Guest guest = new(Payload.Build(Payload.Spin));
        guest.Machine.Stop("too late");
        Assert.Equal(new MachineOutcome(0, "too late"), guest.Run());
    }

    [Fact]
    public void A_stop_that_comes_after_a_guests_reset_request_and_before_the_reset_is_not_lost()
    {
        using Guest guest = new(Payload.Build(Payload.Spin));
        guest.Machine.Request(MachineRequest.Reset, 0, "the guest wants a reset");
        guest.Machine.Stop("pulled");
        Assert.Equal(new MachineOutcome(0, "pulled"), guest.Run());
    }

    [Fact]
    public async Task Stop_ends_a_guest_that_resets_without_end()
    {
        // Most of the time a reset is under way when the stop comes.
        for (int round = 0; round < 10; round++)
        {
            using Guest guest = new(Payload.Build(code => OutByte(code, 0xCF9, 0x06)));
            Task<MachineOutcome> run = Task.Run(guest.Run, TestContext.Current.CancellationToken);
            await Task.Delay(20, TestContext.Current.CancellationToken);
            guest.Machine.Stop("pulled");
            Assert.Equal("pulled", (await run).Reason);
        }
    }

    [Fact]
    public void The_event_log_tells_start_resets_and_end_in_order()
    {
        using Guest guest = new(ResetsTwice(code => OutByte(code, 0xCF9, 0x06)));
        guest.Run();
        string[] life = [.. guest.Events.Select(e => JsonDocument.Parse(e).RootElement.GetProperty("event").GetString()!)
            .Where(e => e.StartsWith("machine.", StringComparison.Ordinal) || e.StartsWith("guest.", StringComparison.Ordinal))];
        Assert.Equal(["machine.started", "guest.reset", "machine.started", "guest.reset", "machine.started", "machine.exit", "machine.totals"], life);
        JsonElement totals = JsonDocument.Parse(guest.Events[^1]).RootElement;
        Assert.True(totals.GetProperty("exits").GetInt64() >= 3);
    }

    [Fact]
    public void A_machine_leaves_no_descriptor_and_no_memory_behind_whether_it_was_made_or_not()
    {
        Guest.RequireKvm();
        Guest.Succeeds(Payload.Build(_ => { }), "--device test,id=a,bar0=mem32:64K:ram");
        (int descriptors, int memories) before = Census();
        for (int i = 0; i < 3; i++)
        {
            Guest.Succeeds(Payload.Build(_ => { }), "--device test,id=a,bar0=mem32:64K:ram");

            // Fails after the files, KVM and the RAM.
            Assert.Throws<ApertureException>(() => new Guest(Payload.Build(_ => { }), "--serial file=/nonexistent/serial"));
        }

        (int descriptors, int memories) after = Census();
        Assert.Equal(before.memories, after.memories);
        Assert.InRange(after.descriptors, 0, before.descriptors + 1);
    }

    private static (int Descriptors, int Memories) Census() => (
        Directory.GetFiles("/proc/self/fd").Length,
        File.ReadLines("/proc/self/maps").Count(l => l.Contains("kvm-vcpu", StringComparison.Ordinal))

        // "dc", not passed on to child processes, is what only guest memory is here.
        + File.ReadLines("/proc/self/smaps").Count(l => l.StartsWith("VmFlags:", StringComparison.Ordinal) && l.Contains(" dc", StringComparison.Ordinal)));
}
