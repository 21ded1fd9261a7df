using Aperture.Hypervisor;
using Aperture.Kvm.X86;
using Aperture.Linux;
using Aperture.TestPayloads;
using Iced.Intel;
using static Iced.Intel.AssemblerRegisters;

namespace Aperture.Kvm.Tests;

public class InterruptTests
{
    private const byte LineVector = 0x24;
    private const byte MessageVector = 0x51;

    // Halts until interrupt 4 of the PIC comes; the handler reports it, asks the device to let go, and ends the interrupt.
    private static byte[] WaitsForLine() => RomImage.Real16(code =>
    {
        Label loop = code.CreateLabel();
        PayloadParts.EnterLowCopy(code);
        PayloadParts.StartPics(code);
        PayloadParts.Out8(code, 0x21, 0xEF);
        PayloadParts.Handler(code, body =>
        {
            PayloadParts.Out8(body, 0x80, 2);
            PayloadParts.Out8(body, 0x20, 0x20);
            body.iret();
        });
        PayloadParts.SetVector(code, LineVector);
        PayloadParts.Out8(code, 0x80, 1);
        code.sti();
        code.Label(ref loop);
        code.hlt();
        code.jmp(loop);
    });

    // Switches its local APIC on and halts until a message comes at vector 0x51.
    private static byte[] WaitsForMessage() => RomImage.Protected32(code =>
    {
        Label loop = code.CreateLabel();
        PayloadParts.Handler(code, body =>
        {
            PayloadParts.Out8(body, 0x80, 2);
            body.mov(__dword_ptr[0xFEE0_00B0], 0);
            body.iretd();
        });
        code.mov(ebx, eax);
        code.and(ebx, 0xFFFF);
        code.or(ebx, RomImage.CodeSelector << 16);
        code.mov(__dword_ptr[0x5000 + (8 * MessageVector)], ebx);
        code.and(eax, 0xFFFF_0000);
        code.or(eax, 0x8E00);
        code.mov(__dword_ptr[0x5004 + (8 * MessageVector)], eax);
        code.mov(__word_ptr[0x4000], 0x7FF);
        code.mov(__dword_ptr[0x4002], 0x5000);
        code.lidt(__[0x4000]);
        code.mov(__dword_ptr[0xFEE0_00F0], 0x1FF);
        PayloadParts.Out8(code, 0x80, 1);
        code.sti();
        code.Label(ref loop);
        code.hlt();
        code.jmp(loop);
    });

    private static readonly MsiMessage Message = new(new GuestAddress(0xFEE0_0000), MessageVector);

    [Fact]
    public void A_line_that_is_set_reaches_the_guests_handler_until_it_is_cleared()
    {
        using KvmGuest guest = KvmGuest.Start(WaitsForLine());
        IInterruptLine line = guest.Vm.Line(4);
        int interrupts = 0;
        guest.Exits.PortWrites = (_, _, value) =>
        {
            line.Set(value == 1);
            interrupts += value == 2 ? 1 : 0;
            if (interrupts > 0 && interrupts < 3)
            {
                line.Set(true);
            }
            else if (interrupts == 3)
            {
                guest.Exits.Done!(0);
            }
        };
        guest.Run();
        Assert.Equal(3, interrupts);
    }

    [Fact]
    public void An_eventfd_tied_to_a_line_interrupts_without_a_call()
    {
        using KvmGuest guest = KvmGuest.Start(WaitsForLine());
        using EventFd trigger = new();
        guest.Vm.AddIrqfd(trigger, 4);
        RunUntilInterrupted(guest, trigger.Signal);
        guest.Vm.RemoveIrqfd(trigger, 4);
    }

    [Fact]
    public void A_level_eventfd_tells_of_the_end_of_the_interrupt()
    {
        using KvmGuest guest = KvmGuest.Start(WaitsForLine());
        using EventFd trigger = new();
        using EventFd ended = new();
        guest.Vm.AddIrqfd(trigger, 4, ended);
        RunUntilInterrupted(guest, trigger.Signal);

        // The handler's report comes before its end-of-interrupt: let it go on until it has made it.
        guest.Vcpus.Resume();
        PollItem[] items = [new(ended.Descriptor, PollEvents.Readable)];
        int ready = Poll.Wait(items, 20_000);
        guest.Vcpus.Stop();
        Assert.Equal(1, ready);
        guest.Vm.RemoveIrqfd(trigger, 4);
    }

    // As a chipset's route register wires INTx, for a guest without an I/O APIC driver.
    [Fact]
    public void A_level_eventfd_of_an_IO_APIC_pin_reaches_the_PIC_and_hears_of_the_end_of_the_interrupt()
    {
        using KvmGuest guest = KvmGuest.Start(WaitsForLine());
        using EventFd trigger = new();
        using EventFd ended = new();
        IGuestInterrupts interrupts = ((IVm)guest.Vm).EventInterrupts!;
        using IDisposable? link = interrupts.ConnectLevel(trigger, ended, 17, 4);
        Assert.NotNull(link);
        RunUntilInterrupted(guest, trigger.Signal);
        guest.Vcpus.Resume();
        PollItem[] items = [new(ended.Descriptor, PollEvents.Readable)];
        int ready = Poll.Wait(items, 20_000);
        guest.Vcpus.Stop();
        Assert.Equal(1, ready);
    }

    [Fact]
    public void A_message_reaches_the_local_APIC()
    {
        using KvmGuest guest = KvmGuest.Start(WaitsForMessage());
        RunUntilInterrupted(guest, () => Assert.True(guest.Vm.SignalMsi(Message)));
        Assert.Equal(0, guest.Vm.DroppedMessages);
    }

    [Fact]
    public void A_message_outside_the_interrupt_window_is_dropped_and_counted_or_lost_but_never_thrown()
    {
        using KvmGuest guest = KvmGuest.Start(WaitsForMessage());
        bool taken = guest.Vm.SignalMsi(new MsiMessage(new GuestAddress(0xFEEF_F000), 0x30));
        Assert.Equal(taken ? 0 : 1, guest.Vm.DroppedMessages);
    }

    // KVM would deliver all of these to APIC 0, as it looks at bits 19:0 only.
    [Theory]
    [InlineData(0)]
    [InlineData(0x1000)]
    [InlineData(0xFED0_0000)]
    [InlineData(0xFEF0_0000)]
    [InlineData(0x1_FEE0_0000)]
    public void A_message_elsewhere_than_in_the_interrupt_window_is_dropped_and_counted(long address)
    {
        using KvmGuest guest = KvmGuest.Start(WaitsForMessage());
        MsiMessage elsewhere = new(new GuestAddress((ulong)address), MessageVector);
        Assert.False(guest.Vm.SignalMsi(elsewhere));
        Assert.Equal(1, guest.Vm.DroppedMessages);

        // Nor is there a route for it: who sends it does so by itself, and it is counted.
        IGuestInterrupts interrupts = ((IVm)guest.Vm).EventInterrupts!;
        Assert.False(interrupts.Takes(elsewhere));
        Assert.True(interrupts.Takes(Message));
    }

    [Fact]
    public void A_route_keeps_its_message_while_nothing_is_tied_to_it()
    {
        using KvmGuest guest = KvmGuest.Start(WaitsForMessage());
        using EventFd trigger = new();
        IGuestInterrupts interrupts = ((IVm)guest.Vm).EventInterrupts!;
        using IMessageRoute route = interrupts.Reserve()!;
        Assert.True(interrupts.TryRoute([new RoutedMessage(route, Message)]));
        Assert.True(route.TryConnect(trigger));
        route.Disconnect();
        trigger.Signal();
        Assert.True(trigger.TryTake(out _));
        Assert.True(route.TryConnect(trigger));
        RunUntilInterrupted(guest, trigger.Signal);
    }

    [Fact]
    public void An_eventfd_tied_to_a_message_route_interrupts_where_the_route_points()
    {
        using KvmGuest guest = KvmGuest.Start(WaitsForMessage());
        using EventFd trigger = new();
        uint gsi = guest.Vm.Routes.Allocate();
        guest.Vm.AddIrqfd(trigger, gsi);
        guest.Vm.Routes.Set(gsi, Message);
        RunUntilInterrupted(guest, trigger.Signal);
        guest.Vm.RemoveIrqfd(trigger, gsi);
        guest.Vm.Routes.Free(gsi);
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void A_write_that_an_eventfd_takes_does_not_exit_and_others_do(bool port)
    {
        using KvmGuest guest = KvmGuest.Start(RomImage.Protected32(code =>
        {
            foreach (uint value in new uint[] { 5, 6, 5 })
            {
                code.mov(eax, value);
                code.mov(edx, 0x700);
                if (port)
                {
                    code.@out(dx, eax);
                }
                else
                {
                    code.mov(__dword_ptr[0xE000_0700], eax);
                }
            }

            PayloadParts.Done(code);
        }));
        using EventFd doorbell = new();
        IoEventMatch match = new(new GuestAddress(port ? 0x700u : 0xE000_0700), 4, Data: 5, IsPort: port);
        guest.Vm.AddIoEvent(doorbell, match);
        string[] log = guest.Run();
        Assert.Equal([port ? "out4 700 6" : "write4 e0000700 6"], log);
        Assert.True(doorbell.TryTake(out ulong count));
        Assert.Equal(2UL, count);

        Assert.Equal(Errno.EEXIST, Assert.Throws<LinuxException>(() => guest.Vm.AddIoEvent(doorbell, match)).Errno);
        guest.Vm.RemoveIoEvent(doorbell, match);
        Assert.Equal(4, guest.Run().Length);
        Assert.False(doorbell.TryTake(out _));
    }

    [Fact]
    public void Two_vCPUs_that_move_slots_at_the_same_time_both_go_on()
    {
        const int Moves = 200;
        using KvmGuest guest = KvmGuest.Start(
            RomImage.Protected32(code =>
            {
                StartSecond(code);
                Label loop = code.CreateLabel();
                code.Label(ref loop);
                code.mov(__dword_ptr[0xE000_0000], 1);
                code.jmp(loop);
            }),
            cpus: 2);
        Assembler second = new(16);
        Label again = second.CreateLabel();
        second.Label(ref again);
        second.@out(0x81, al);
        second.jmp(again);
        RomImage.Assemble(second, 0).CopyTo(guest.Ram.Bytes[0x6000..]);
        PageMemory bar = new(0x1000);
        Lock map = new();
        int[] moves = new int[2];
        bool present = false;
        void Move(int vcpu)
        {
            lock (map)
            {
                using VcpuHold hold = guest.Vcpus.PauseOthers();
                if (present)
                {
                    guest.Vm.Memory.Delete(KvmGuest.FreeSlot);
                }
                else
                {
                    guest.Vm.Memory.Set(KvmGuest.FreeSlot, new GuestAddress(0xD000_0000), 0x1000, bar.Address, readOnly: false, logDirty: false);
                }

                present = !present;
                moves[vcpu]++;
                if (moves[0] >= Moves && moves[1] >= Moves)
                {
                    guest.Exits.Done!(0);
                }
            }
        }

        guest.Exits.MmioWrites = (_, _, _) => Move(0);
        guest.AllExits[1].PortWrites = (_, _, _) => Move(1);
        guest.Run();
        Assert.All(moves, count => Assert.InRange(count, Moves, int.MaxValue));
        GC.KeepAlive(bar);
    }

    [Fact]
    public void A_second_vCPU_starts_on_the_boot_processors_message()
    {
        using KvmGuest guest = KvmGuest.Start(
            RomImage.Protected32(code =>
            {
                StartSecond(code);
                PayloadParts.Spin(code);
            }),
            cpus: 2);
        Assembler second = new(16);
        PayloadParts.Out8(second, 0x80, 0x22);
        PayloadParts.Spin(second);
        RomImage.Assemble(second, 0).CopyTo(guest.Ram.Bytes[0x6000..]);
        guest.AllExits[1].PortWrites = (_, _, _) => guest.AllExits[1].Done!(0);
        guest.Run();
        Assert.Equal(["out1 80 22"], guest.AllExits[1].Log);
    }

    [Fact]
    public void No_vCPU_is_freed_while_another_one_is_in_its_handler()
    {
        using KvmGuest guest = KvmGuest.Start(
            RomImage.Protected32(code =>
            {
                StartSecond(code);
                PayloadParts.Spin(code);
            }),
            cpus: 2);
        Assembler second = new(16);
        PayloadParts.Out8(second, 0x80, 0x22);
        PayloadParts.Spin(second);
        RomImage.Assemble(second, 0).CopyTo(guest.Ram.Bytes[0x6000..]);
        using ManualResetEventSlim entered = new();
        using ManualResetEventSlim looked = new();
        guest.AllExits[1].PortWrites = (_, _, _) =>
        {
            entered.Set();
            looked.Wait();
        };
        guest.Go();
        entered.Wait(TestContext.Current.CancellationToken);
        Thread end = new(guest.Vcpus.Dispose);
        end.Start();

        // It ends vCPU 0 at once and then waits for the one that is in its handler: long enough for whatever else it would do.
        Thread.Sleep(300);
        Exception? fault = Record.Exception(() => guest.Vcpus.Vcpus[0].Registers.Rip);
        looked.Set();
        end.Join();
        Assert.Null(fault);
    }

    // INIT, then start-up at 0x6000, to APIC id 1 (SDM 3A 11.6.1).
    private static void StartSecond(Assembler code)
    {
        code.mov(__dword_ptr[0xFEE0_00F0], 0x1FF);
        code.mov(__dword_ptr[0xFEE0_0310], 1 << 24);
        code.mov(__dword_ptr[0xFEE0_0300], 0x4500);
        code.mov(__dword_ptr[0xFEE0_0310], 1 << 24);
        code.mov(__dword_ptr[0xFEE0_0300], 0x4606);
    }

    private static void RunUntilInterrupted(KvmGuest guest, Action raise)
    {
        guest.Exits.PortWrites = (_, _, value) =>
        {
            if (value == 1)
            {
                raise();
            }
            else
            {
                guest.Exits.Done!(0);
            }
        };
        Assert.Equal(["out1 80 1", "out1 80 2"], guest.Run().Where(line => line.StartsWith("out1 80", StringComparison.Ordinal)));
    }
}
