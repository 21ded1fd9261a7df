using Aperture.Hypervisor;
using Aperture.TestPayloads;
using Iced.Intel;
using static Iced.Intel.AssemblerRegisters;

namespace Aperture.Kvm.Tests;

public class VcpuExitTests
{
    // An address that no slot backs.
    private const uint Device = 0xE000_0000;

    [Fact]
    public void Port_accesses_of_every_size_arrive_as_the_guest_made_them()
    {
        using KvmGuest guest = KvmGuest.Start(RomImage.Protected32(code =>
        {
            code.mov(eax, 0x11223344);
            code.mov(edx, 0x510);
            code.@out(dx, al);
            code.@out(dx, ax);
            code.@out(dx, eax);
            code.@in(eax, dx);
            code.mov(ebx, eax);
            code.mov(eax, 0);
            code.@in(ax, dx);
            code.@in(al, dx);
            code.xchg(eax, ebx);
            code.@out(0x80, eax);
            code.mov(eax, ebx);
            code.@out(0x80, eax);
            PayloadParts.Done(code);
        }));
        guest.Exits.PortReads = (_, size) => size switch { 1 => 0xABCDEF5A, 2 => 0xABCD6BAD, _ => 0xCAFEF00D };
        Assert.Equal(
            [
                "out1 510 44", "out2 510 3344", "out4 510 11223344",
                "in4 510 cafef00d", "in2 510 abcd6bad", "in1 510 abcdef5a",
                "out4 80 cafef00d", "out4 80 6b5a",
            ],
            guest.Run());
    }

    [Fact]
    public void Collected_writes_arrive_once_each_in_order_and_before_the_access_that_follows_them()
    {
        using KvmGuest guest = KvmGuest.Start(RomImage.Protected32(code =>
        {
            // More than the ring holds.
            for (uint i = 0; i < 400; i++)
            {
                code.mov(__dword_ptr[Device + (4 * i)], i);
            }

            code.mov(__byte_ptr[Device + 0x7FF], 0x5A);
            code.mov(al, 0x8F);
            code.@out(0x80, al);
            code.mov(__word_ptr[Device + 2], 0x1234);
            code.mov(eax, __dword_ptr[Device]);
            PayloadParts.Done(code);
        }));
        Assert.SkipUnless(guest.Vm.PostedWrites.TryAdd(new AddressRange(new GuestAddress(Device), 0x1000)),
            "this KVM collects no writes (KVM_CAP_COALESCED_MMIO)");
        Assert.Equal(
            [
                .. Enumerable.Range(0, 400).Select(i => $"write4 {Device + (4 * i):x} {i:x}"), $"write1 {Device + 0x7FF:x} 5a", "out1 80 8f",
                $"write2 {Device + 2:x} 1234", $"read4 {Device:x} ffffffff",
            ],
            guest.Run());
        Assert.True(guest.Vcpus.Vcpus[0].ExitCount < 50, $"{guest.Vcpus.Vcpus[0].ExitCount} exits");
    }

    [Fact]
    public void The_kernels_counters_have_every_memory_access_that_left_the_guest_and_all_exits()
    {
        using KvmGuest guest = KvmGuest.Start(RomImage.Protected32(code =>
        {
            for (int i = 0; i < 20; i++)
            {
                code.@out(0x80, al);
            }

            for (int i = 0; i < 10; i++)
            {
                code.mov(eax, __dword_ptr[Device]);
            }

            PayloadParts.Done(code);
        }));
        guest.Run();
        IReadOnlyDictionary<string, ulong> counters = guest.Vcpus.Vcpus[0].Statistics;
        Assert.SkipWhen(counters.Count == 0, "this kernel's KVM keeps no statistics (KVM_GET_STATS_FD, Linux 5.14)");
        Assert.InRange(counters["mmio_exits"], 10UL, 20UL);
        Assert.True(counters["exits"] >= (ulong)guest.Vcpus.Vcpus[0].ExitCount);
    }

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(4)]
    public void String_instructions_arrive_one_unit_at_a_time_and_fill_the_guests_memory(int size)
    {
        using KvmGuest guest = KvmGuest.Start(RomImage.Protected32(code =>
        {
            code.cld();
            code.mov(edx, 0x600);
            code.mov(edi, 0x4000);
            code.mov(ecx, 5);
            Action insert = size switch { 1 => () => code.rep.insb(), 2 => () => code.rep.insw(), _ => () => code.rep.insd() };
            insert();
            code.mov(esi, 0x4000);
            code.mov(ecx, 5);
            Action output = size switch { 1 => () => code.rep.outsb(), 2 => () => code.rep.outsw(), _ => () => code.rep.outsd() };
            output();
            PayloadParts.Done(code);
        }));
        uint next = 0x81828380;
        guest.Exits.PortReads = (_, _) => next++;
        ulong mask = AccessWidth.AllOnes(size);
        string[] log = guest.Run();
        Assert.Equal(5, log.Count(line => line.StartsWith($"in{size} 600", StringComparison.Ordinal)));
        Assert.Equal(
            Enumerable.Range(0, 5).Select(unit => $"out{size} 600 {(0x81828380 + (uint)unit) & mask:x}"),
            log.Where(line => line.StartsWith("out", StringComparison.Ordinal)));
    }

    [Fact]
    public void Memory_accesses_of_every_size_arrive_as_the_guest_made_them()
    {
        using KvmGuest guest = KvmGuest.Start(RomImage.Protected32(code =>
        {
            code.mov(ebx, Device);
            code.mov(eax, 0x11223344);
            code.mov(__byte_ptr[ebx], al);
            code.mov(__word_ptr[ebx + 2], ax);
            code.mov(__dword_ptr[ebx + 4], eax);
            code.mov(al, __byte_ptr[ebx + 1]);
            code.mov(__dword_ptr[0x4000], eax);
            code.mov(ax, __word_ptr[ebx + 2]);
            code.mov(__dword_ptr[0x4004], eax);
            code.mov(eax, __dword_ptr[ebx + 4]);
            code.mov(__dword_ptr[0x4008], eax);
            PayloadParts.Done(code);
        }));
        guest.Exits.MmioReads = (_, size) => size switch { 1 => 0xFFFF_FFFF_FFFF_FF5A, 2 => 0xFFFF_FFFF_FFFF_6BAD, _ => 0xFFFF_FFFF_CAFE_F00D };
        Assert.Equal(
            [
                "write1 e0000000 44", "write2 e0000002 3344", "write4 e0000004 11223344",
                "read1 e0000001 ffffffffffffff5a", "read2 e0000002 ffffffffffff6bad", "read4 e0000004 ffffffffcafef00d",
            ],
            guest.Run());
        Assert.Equal([0x5A, 0x33, 0x22, 0x11, 0xAD, 0x6B, 0x22, 0x11, 0x0D, 0xF0, 0xFE, 0xCA], guest.Ram.Bytes.Slice(0x4000, 12).ToArray());
    }

    [Fact]
    public void An_eight_byte_access_keeps_its_width()
    {
        using KvmGuest guest = KvmGuest.Start(RomImage.Protected32(code =>
        {
            code.mov(ebx, Device);
            code.movq(mm0, __qword_ptr[ebx]);
            code.movq(__qword_ptr[ebx + 8], mm0);
            PayloadParts.Done(code);
        }));
        guest.Exits.MmioReads = (_, _) => 0x0123456789ABCDEF;
        string[] log = guest.Run();
        Assert.SkipWhen(
            guest.Exits.Stopped.Any(stop => stop.Kind == VcpuStopKind.InternalError), "this KVM does not emulate MMX accesses to device memory");
        Assert.Equal(["read8 e0000000 123456789abcdef", "write8 e0000008 123456789abcdef"], log);
    }

    [Fact]
    public void An_access_across_a_page_arrives_in_powers_of_two_that_cover_it_once()
    {
        using KvmGuest guest = KvmGuest.Start(RomImage.Protected32(code =>
        {
            code.mov(eax, 0x44332211);
            code.mov(__dword_ptr[Device + 0xFFD], eax);
            code.mov(eax, __dword_ptr[Device + 0xFFD]);
            code.mov(__dword_ptr[0x4000], eax);
            PayloadParts.Done(code);
        }));
        guest.Exits.MmioReads = (address, size) => Enumerable.Range(0, size).Aggregate(0UL, (value, at) => value | ((address + (ulong)at) & 0xFF) << (8 * at));
        string[] log = guest.Run();
        Assert.Equal(["write2 e0000ffd 2211", "write1 e0000fff 33", "write1 e0001000 44"],
            log.Where(line => line.StartsWith("write", StringComparison.Ordinal)));
        Assert.All(log, line => Assert.Contains(line[^1..], "0123456789abcdef"));
        Assert.Equal([0xFD, 0xFE, 0xFF, 0x00], guest.Ram.Bytes.Slice(0x4000, 4).ToArray());
    }

    [Fact]
    public void A_write_to_a_read_only_slot_exits_and_changes_nothing()
    {
        using KvmGuest guest = KvmGuest.Start(RomImage.Protected32(code =>
        {
            code.mov(ebx, 0xF8000);
            code.mov(__dword_ptr[ebx], 0x12345678);
            code.mov(eax, __dword_ptr[ebx]);
            code.mov(__dword_ptr[0x4000], eax);
            PayloadParts.Done(code);
        }));
        Assert.Equal(["write4 f8000 12345678"], guest.Run());
        Assert.Equal([0xF4, 0xF4, 0xF4, 0xF4], guest.Ram.Bytes.Slice(0x4000, 4).ToArray());
    }

    [Fact]
    public void A_slot_that_a_handler_moves_is_seen_at_its_new_place_and_traps_at_the_old_one()
    {
        using KvmGuest guest = KvmGuest.Start(RomImage.Protected32(code =>
        {
            code.mov(eax, __dword_ptr[Device]);
            code.@out(0x80, eax);
            code.mov(__dword_ptr[0xD000_0000], 1);
            code.mov(eax, __dword_ptr[Device]);
            code.@out(0x80, eax);
            code.mov(eax, __dword_ptr[Device + 0x10_0000]);
            code.@out(0x80, eax);
            PayloadParts.Done(code);
        }));
        PageMemory bar = new(0x1000);
        bar.Bytes.Fill(0x77);
        guest.Vm.Memory.Set(KvmGuest.FreeSlot, new GuestAddress(Device), 0x1000, bar.Address, readOnly: false, logDirty: false);
        guest.Exits.MmioWrites = (_, _, _) =>
        {
            using VcpuHold hold = guest.Vcpus.PauseOthers();
            guest.Vm.Memory.Delete(KvmGuest.FreeSlot);
            guest.Vm.Memory.Set(KvmGuest.FreeSlot, new GuestAddress(Device + 0x10_0000), 0x1000, bar.Address, readOnly: false, logDirty: false);
        };
        guest.Exits.MmioReads = (_, _) => 0x11111111;
        Assert.Equal(
            ["out4 80 77777777", "write4 d0000000 1", "read4 e0000000 11111111", "out4 80 11111111", "out4 80 77777777"], guest.Run());
        GC.KeepAlive(bar);
    }

    [Fact]
    public void A_triple_fault_is_a_shutdown()
    {
        using KvmGuest guest = KvmGuest.Start(RomImage.Protected32(code =>
        {
            code.mov(__dword_ptr[0x4000], 0);
            code.mov(__dword_ptr[0x4004], 0);
            code.lidt(__[0x4000]);
            code.ud2();
        }));
        guest.Run();
        VcpuStop stop = Assert.Single(guest.Exits.Stopped);
        Assert.Equal(VcpuStopKind.Shutdown, stop.Kind);
        Assert.Equal("vCPU 0 took a triple fault", stop.Sentence);
    }

    [Fact]
    public void Without_interrupt_controllers_HLT_stops_and_can_be_continued_after()
    {
        using KvmGuest guest = KvmGuest.Start(
            RomImage.Protected32(code =>
            {
                code.hlt();
                code.mov(al, 1);
                code.@out(0x80, al);
                code.hlt();
            }),
            interruptControllers: false);
        guest.Exits.Stops = stop =>
        {
            if (guest.Exits.Stopped.Count < 2)
            {
                return VcpuAction.Continue;
            }

            guest.Exits.Done!(0);
            return VcpuAction.Park;
        };
        Assert.Equal(["out1 80 1"], guest.Run());
        Assert.All(guest.Exits.Stopped, stop => Assert.Equal(VcpuStopKind.Halt, stop.Kind));
    }

    [Fact]
    public void Twenty_thousand_exits_allocate_nothing() => Allocations.None(windows =>
    {
        const uint Rounds = 10_000;
        using KvmGuest guest = KvmGuest.Start(RomImage.Protected32(code =>
        {
            Label loop = code.CreateLabel();
            code.mov(ecx, Rounds);
            code.mov(ebx, Device);
            code.Label(ref loop);
            code.mov(eax, __dword_ptr[ebx]);
            code.@out(0x80, eax);
            code.dec(ecx);
            code.jnz(loop);
            PayloadParts.Done(code);
        }));
        guest.Exits.Recording = false;
        long reads = 0;
        long writes = 0;
        guest.Exits.MmioReads = (_, _) => (ulong)++reads;
        guest.Exits.PortWrites = (_, _, value) =>
        {
            writes += value == (uint)reads ? 1 : 0;

            // The first window begins when everything has been called before.
            if (reads % (Rounds / AllocationWindows.Count) == 0 || reads == 10)
            {
                windows.Mark();
            }
        };
        guest.Run();
        Assert.Equal(Rounds, reads);
        Assert.Equal(Rounds, writes);
        Assert.InRange(guest.Vcpus.Vcpus[0].ExitCount, 2 * Rounds, (2 * Rounds) + 100);
    });
}
