using Aperture.Firmware.Boot.X86;
using Aperture.Hypervisor;
using Aperture.Hypervisor.X86;
using Aperture.Kvm.X86;
using Aperture.TestPayloads;
using Iced.Intel;
using static Iced.Intel.AssemblerRegisters;

namespace Aperture.Kvm.Tests;

public class VcpuStopTests
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(20);

    [Fact]
    public void A_guest_that_spins_without_exits_is_stopped_and_goes_on_where_it_was()
    {
        // The counter is in a register, so the only way out is the kick.
        using KvmGuest guest = KvmGuest.Start(RomImage.Protected32(code =>
        {
            Label loop = code.CreateLabel();
            code.xor(ebx, ebx);
            PayloadParts.Out8(code, 0x80, 1);
            code.Label(ref loop);
            code.inc(ebx);
            code.jmp(loop);
        }));
        using ManualResetEventSlim started = new();
        guest.Exits.PortWrites = (_, _, _) => started.Set();
        guest.Go();
        Assert.True(started.Wait(Patience, TestContext.Current.CancellationToken));
        ulong before = 0;
        for (int round = 0; round < 5; round++)
        {
            SpinWait.SpinUntil(() => false, 5);
            guest.Vcpus.Stop();
            Assert.True(guest.Vcpus.IsStopped);
            ulong now = guest.Vcpus.Vcpus[0].Registers.Rbx;
            Assert.Equal(now, guest.Vcpus.Vcpus[0].Registers.Rbx);
            Assert.True(now > before, $"round {round}: {now} after {before}");
            before = now;
            guest.Vcpus.Resume();
        }

        guest.Vcpus.Stop();
    }

    [Fact]
    public void A_guest_halted_in_the_kernel_is_stopped()
    {
        using KvmGuest guest = KvmGuest.Start(RomImage.Protected32(code =>
        {
            Label loop = code.CreateLabel();
            PayloadParts.Out8(code, 0x80, 1);
            code.Label(ref loop);
            code.hlt();
            code.jmp(loop);
        }));
        using ManualResetEventSlim started = new();
        guest.Exits.PortWrites = (_, _, _) => started.Set();
        guest.Go();
        Assert.True(started.Wait(Patience, TestContext.Current.CancellationToken));
        guest.Vcpus.RequestStop();
        Assert.True(guest.Vcpus.WaitStopped(Patience));
    }

    [Fact]
    public void A_stop_requested_by_a_handler_lets_no_further_instruction_exit()
    {
        using KvmGuest guest = KvmGuest.Start(RomImage.Protected32(code =>
        {
            code.mov(eax, 7);
            code.@out((byte)ScriptedExits.DonePort, eax);
            PayloadParts.Out8(code, 0x80, 1);
            PayloadParts.Spin(code);
        }));
        Assert.Empty(guest.Run());
        Assert.Equal(7u, guest.Code);
    }

    [Fact]
    public void After_a_reset_the_same_guest_runs_again_from_the_start()
    {
        using KvmGuest guest = KvmGuest.Start(RomImage.Protected32(code =>
        {
            // The last access is a read, whose value must not land in a register of the next run.
            code.mov(__dword_ptr[0x4000], 5);
            code.mov(eax, __dword_ptr[0xE000_0000]);
            code.@out(0x80, eax);
            PayloadParts.Done(code);
        }));
        guest.Exits.MmioReads = (_, _) => 0x33;
        for (int run = 1; run <= 3; run++)
        {
            Assert.Equal(2 * run, guest.Run().Length);
            guest.Vcpus.Reset(BootState.ResetVector);
            Assert.Equal(0xFFF0UL, guest.Vcpus.Vcpus[0].Registers.Rip);
            Assert.Equal(0xFFFF_0000UL, guest.Vcpus.Vcpus[0].SpecialRegisters.Cs.Base);
            Assert.Equal(0UL, guest.Vcpus.Vcpus[0].SpecialRegisters.Cr0 & 1);
            guest.Vm.ResetInterruptControllers();
        }
    }

    [Fact]
    public void The_PVH_state_runs_32_bit_code_from_RAM_with_EBX_at_the_start_info()
    {
        using KvmGuest guest = KvmGuest.Start(RomImage.Real16(PayloadParts.Spin));
        Assembler code = new(32);
        code.mov(eax, ebx);
        code.@out(0x80, eax);
        code.mov(eax, __dword_ptr[ebx]);
        code.@out(0x80, eax);
        code.mov(eax, cr0);
        code.and(eax, 1);
        code.@out(0x80, eax);
        PayloadParts.Done(code);
        RomImage.Assemble(code, 0x3000).CopyTo(guest.Ram.Bytes[0x3000..]);
        BootGdt.Write(guest.Ram.Bytes[0x500..], longMode: false);
        guest.Ram.Bytes[0x2000..0x2004].Fill(0x78);
        BootState boot = BootStates.Pvh(new GuestAddress(0x3000), new GuestAddress(0x2000), new GuestAddress(0x500));
        Assert.Equal(["out4 80 2000", "out4 80 78787878", "out4 80 1"], guest.Run(boot));
    }

    [Fact]
    public void A_reset_in_the_middle_of_a_read_starts_from_the_start_and_not_behind_the_read()
    {
        using KvmGuest guest = KvmGuest.Start(RomImage.Protected32(code =>
        {
            PayloadParts.Out8(code, 0x80, 1);
            code.mov(eax, __dword_ptr[0xE000_0000]);
            code.@out(0x80, eax);
            PayloadParts.Done(code);
        }));
        bool interrupted = false;
        guest.Exits.MmioReads = (_, _) =>
        {
            if (interrupted)
            {
                return 0x33;
            }

            interrupted = true;
            guest.Exits.Done!(0);
            return 0xDEADBEEF;
        };
        Assert.Equal(["out1 80 1", "read4 e0000000 deadbeef"], guest.Run());
        guest.Exits.Log.Clear();
        Assert.Equal(["out1 80 1", "read4 e0000000 33", "out4 80 33"], guest.Run());
    }

    [Fact]
    public void Four_vCPUs_stop_while_three_of_them_wait_for_their_start_up_message()
    {
        using KvmGuest guest = KvmGuest.Start(
            RomImage.Protected32(code =>
            {
                PayloadParts.Out8(code, 0x80, 1);
                PayloadParts.Spin(code);
            }),
            cpus: 4);
        using ManualResetEventSlim started = new();
        guest.Exits.PortWrites = (_, _, _) => started.Set();
        guest.Go();
        Assert.True(started.Wait(Patience, TestContext.Current.CancellationToken));
        guest.Vcpus.RequestStop();
        Assert.True(guest.Vcpus.WaitStopped(Patience));
        Assert.Equal([0, 1, 2, 3], guest.Vcpus.Vcpus.Select(vcpu => vcpu.Index));
        Assert.All(guest.AllExits.Skip(1), exits => Assert.Empty(exits.Log));
    }

    [Fact]
    public void A_vCPU_count_out_of_range_is_refused_in_one_sentence()
    {
        KvmGuest.RequireKvm();
        using KvmSystem system = KvmSystem.Open();
        using KvmVm vm = system.CreateVm(new KvmVmOptions());
        CpuidTable cpuid = CpuidTable.FromHost(system, 1);
        ApertureException none = Assert.Throws<ApertureException>(() => vm.CreateVcpus(0, cpuid, _ => new ScriptedExits()));
        Assert.StartsWith("0 vCPUs were asked for; this host gives a guest 1 to ", none.Message, StringComparison.Ordinal);
        Assert.Throws<ApertureException>(() => vm.CreateVcpus(65, cpuid, _ => new ScriptedExits()));
    }

    [Fact]
    public void A_handler_that_throws_stops_its_vCPU_with_a_sentence_and_not_the_process()
    {
        using KvmGuest guest = KvmGuest.Start(RomImage.Protected32(code =>
        {
            PayloadParts.Out8(code, 0x80, 1);
            PayloadParts.Spin(code);
        }));
        guest.Exits.PortWrites = (_, _, _) => throw new InvalidDataException("a fault of ours");
        guest.Run();
        VcpuStop stop = Assert.Single(guest.Exits.Stopped);
        Assert.Equal(VcpuStopKind.HandlerFault, stop.Kind);
        Assert.Contains("a fault of ours", stop.Sentence, StringComparison.Ordinal);
    }

    [Fact]
    public void A_vCPUs_own_thread_may_request_a_stop_but_not_wait_for_it()
    {
        using KvmGuest guest = KvmGuest.Start(RomImage.Protected32(code =>
        {
            PayloadParts.Out8(code, 0x80, 1);
            PayloadParts.Done(code);
        }));
        Exception? refused = null;
        guest.Exits.PortWrites = (_, _, _) => refused = Record.Exception(guest.Vcpus.Stop);
        guest.Run();
        Assert.IsType<InvalidOperationException>(refused);
    }

    [Fact]
    public void While_another_thread_pauses_a_spinning_guest_nothing_runs_and_afterwards_it_goes_on()
    {
        using KvmGuest guest = KvmGuest.Start(RomImage.Protected32(code =>
        {
            Label loop = code.CreateLabel();
            code.xor(ebx, ebx);
            code.Label(ref loop);
            code.inc(ebx);
            code.mov(__dword_ptr[0x4000], ebx);
            code.jmp(loop);
        }));
        guest.Go();
        uint Counter() => Volatile.Read(ref System.Runtime.InteropServices.MemoryMarshal.AsRef<uint>(guest.Ram.Bytes[0x4000..]));
        for (int round = 0; round < 50; round++)
        {
            uint before = Counter();
            Assert.True(SpinWait.SpinUntil(() => Counter() != before, Patience), $"the guest does not run in round {round}");
            using VcpuHold outer = guest.Vcpus.PauseOthers();
            using VcpuHold inner = guest.Vcpus.PauseOthers();
            uint held = Counter();
            inner.Dispose();
            Thread.Sleep(1);
            Assert.Equal(held, Counter());
        }

        guest.Vcpus.Stop();
    }
}
