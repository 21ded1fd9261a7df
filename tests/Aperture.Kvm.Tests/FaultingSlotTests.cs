using Aperture.Hypervisor;
using Aperture.Memory.Faulting;
using Aperture.TestKit.Parts.Faulting;
using Aperture.TestPayloads;
using Iced.Intel;
using static Iced.Intel.AssemblerRegisters;

namespace Aperture.Kvm.Tests;

/// <summary>Guests whose loads and stores are the first touch of memory that is granted and revoked while they run.</summary>
public class FaultingSlotTests
{
    private const uint Slot = 0xD000_0000;
    private const ulong Page = Grantor.Page;

    [Fact]
    public void A_guests_load_and_store_wait_for_their_page_and_the_guest_notices_nothing()
    {
        KvmGuest.RequireKvm();
        using Grantor granted = new(8);
        using KvmGuest guest = Run(granted, code =>
        {
            Report(code, Slot + (3 * (uint)Page));
            code.mov(__dword_ptr[Slot + (5 * (uint)Page) + 4], 0x1234_5678);
            Report(code, Slot + (5 * (uint)Page) + 4);
            PayloadParts.Done(code);
        });
        Assert.Equal(["out4 80 4", "out4 80 12345678"], guest.Finished());
        Assert.Equal(new FaultCounts(2, 2, 0, 0), granted.Memory.Counts);
        Assert.Null(granted.Memory.Verify());
    }

    [Fact]
    public void An_atomic_and_a_repeated_move_are_first_touches_too()
    {
        KvmGuest.RequireKvm();
        using Grantor granted = new(8);
        using KvmGuest guest = Run(granted, code =>
        {
            code.mov(eax, 10);
            code.@lock.xadd(__dword_ptr[Slot + (2 * (uint)Page)], eax);
            code.@out(0x80, eax);
            Report(code, Slot + (2 * (uint)Page));

            // Over the end of one page into the next.
            code.cld();
            code.mov(eax, 0x0101_0101);
            code.mov(edi, Slot + (6 * (uint)Page) - 16);
            code.mov(ecx, 8);
            code.rep.stosd();
            Report(code, Slot + (6 * (uint)Page) + 12);
            PayloadParts.Done(code);
        });
        Assert.Equal(["out4 80 3", "out4 80 d", "out4 80 1010101"], guest.Finished());
        Assert.Equal(3, granted.Memory.Counts.Grants);
        Assert.Equal((13u, 0x0101_0101u), (granted.InFile(2), granted.InFile(6)));
    }

    [Fact]
    public void A_load_across_two_pages_waits_for_both()
    {
        KvmGuest.RequireKvm();
        using Grantor granted = new(8);
        using KvmGuest guest = Run(granted, code =>
        {
            Report(code, Slot + (4 * (uint)Page) - 2);
            PayloadParts.Done(code);
        });

        // Two zeros of the one and the low half of the other's number.
        Assert.Equal(["out4 80 50000"], guest.Finished());
        Assert.Equal(2, granted.Memory.Counts.Grants);
    }

    [Fact]
    public void A_granted_page_costs_no_exit_and_no_fault()
    {
        const int Loads = 100_000;
        KvmGuest.RequireKvm();
        using Grantor granted = new(8);
        using KvmGuest guest = Run(granted, code =>
        {
            Label loop = code.CreateLabel();
            code.mov(ecx, Loads);
            code.Label(ref loop);
            code.mov(eax, __dword_ptr[Slot]);
            code.mov(__dword_ptr[Slot + 8], ecx);
            code.dec(ecx);
            code.jnz(loop);
            Report(code, Slot + 8);
            PayloadParts.Done(code);
        });
        Assert.Equal(["out4 80 1"], guest.Finished());
        Assert.Equal((1L, 1L), (granted.Memory.Counts.Faults, granted.Memory.Counts.Grants));

        // The two writes to ports.
        Assert.Equal(2, guest.Vcpus.Vcpus[0].ExitCount);
    }

    [Fact]
    public void Two_megabytes_are_one_touch()
    {
        KvmGuest.RequireKvm();
        using Grantor granted = new(1024);
        granted.OnTouch = offset => granted.Give(offset & ~0x1F_FFFFUL, 512);
        using KvmGuest guest = Run(granted, code =>
        {
            Label loop = code.CreateLabel();
            code.xor(eax, eax);
            code.mov(edi, Slot);
            code.mov(ecx, 512);
            code.Label(ref loop);
            code.add(eax, __dword_ptr[edi]);
            code.add(edi, 4096);
            code.dec(ecx);
            code.jnz(loop);
            code.@out(0x80, eax);
            PayloadParts.Done(code);
        });
        Assert.Equal([$"out4 80 {512 * 513 / 2:x}"], guest.Finished());
        Assert.Equal(new FaultCounts(1, 1, 0, 0), granted.Memory.Counts);
    }

    [Fact]
    public void What_is_revoked_between_two_loads_shows_what_is_granted_at_the_second()
    {
        KvmGuest.RequireKvm();
        using Grantor granted = new(1024);
        int shift = 0;
        granted.OnTouch = offset => granted.Give(offset, 1, shift);
        using KvmGuest guest = Run(granted, code =>
        {
            Report(code, Slot);
            code.@out(0x81, eax);
            Report(code, Slot);
            code.@out(0x82, eax);
            Report(code, Slot + (300 * (uint)Page));
            PayloadParts.Done(code);
        }, ports: port =>
        {
            if (port == 0x81)
            {
                shift = 6;
                granted.Memory.Revoke(0, Page);
            }
            else if (port == 0x82)
            {
                granted.Memory.Revoke(0, 1024 * Page);
                granted.OnTouch = _ => granted.Give(0, 512);
            }
        });
        Assert.Equal(["1", "7", "12d"], guest.Finished().Where(IsReport).Select(static line => line[8..]));
        Assert.Equal(2, granted.Memory.Counts.Revocations);
        Assert.Null(granted.Memory.Verify());
    }

    [Fact]
    public void What_is_refused_reads_ones_and_loses_writes_and_the_guest_goes_on()
    {
        KvmGuest.RequireKvm();
        using Grantor granted = new(8);
        granted.OnTouch = offset => offset == 0 && granted.Give(0, 1);
        using KvmGuest guest = Run(granted, code =>
        {
            code.mov(__dword_ptr[Slot + (uint)Page], 5);
            code.@out(0x81, eax);
            Report(code, Slot + (uint)Page);
            Report(code, Slot);
            PayloadParts.Done(code);
        }, ports: port =>
        {
            if (port == 0x81)
            {
                granted.Memory.AskAgain();
            }
        });
        Assert.Equal(["ffffffff", "1"], guest.Finished().Where(IsReport).Select(static line => line[8..]));
        Assert.Equal(2u, granted.InFile(1));
        Assert.Single(granted.Events.Notices);
    }

    [Fact]
    public void A_change_of_memory_slots_does_not_wait_for_a_touch_that_its_own_thread_would_answer()
    {
        KvmGuest.RequireKvm();
        using Grantor granted = new(8);
        using ManualResetEventSlim asked = new();
        using ManualResetEventSlim answer = new();
        granted.OnTouch = offset =>
        {
            asked.Set();
            answer.Wait();
            return granted.Give(offset, 1);
        };
        PageMemory other = new(0x1000);
        using KvmGuest guest = Run(granted, code =>
        {
            Report(code, Slot);
            PayloadParts.Done(code);
        });
        Assert.True(asked.Wait(20_000, TestContext.Current.CancellationToken));

        // The vCPU is in the kernel and waits; whoever changes slots may have to wait for it, and the answer needs neither.
        Aside<int> change = Aside.Run(() =>
        {
            guest.Vm.Memory.Set(KvmGuest.FreeSlot + 1, new GuestAddress(0xC000_0000), 0x1000, other.Address, readOnly: false, logDirty: false);
            return 0;
        });
        answer.Set();
        Assert.Equal(0, change.Result);
        Assert.Equal(["out4 80 1"], guest.Finished());
        GC.KeepAlive(other);
    }

    private static bool IsReport(string line) => line.StartsWith("out4 80 ", StringComparison.Ordinal);

    private static void Report(Assembler code, uint address)
    {
        code.mov(eax, __dword_ptr[address]);
        code.@out(0x80, eax);
    }

    private static KvmGuest Run(Grantor granted, Action<Assembler> program, Action<ushort>? ports = null)
    {
        KvmGuest guest = new(RomImage.Protected32(program));
        guest.Vm.Memory.Set(KvmGuest.FreeSlot, new GuestAddress(Slot), granted.Memory.Size, granted.Memory.Address, readOnly: false, logDirty: false);
        guest.Exits.PortWrites = ports is null ? null : (port, _, _) => ports(port);
        guest.Exits.Stops = stop =>
        {
            guest.Exits.Log.Enqueue(stop.Sentence);
            guest.Exits.Done!(uint.MaxValue);
            return VcpuAction.Park;
        };
        guest.Go();
        return guest;
    }
}
