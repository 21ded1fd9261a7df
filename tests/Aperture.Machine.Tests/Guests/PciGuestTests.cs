using Aperture.Devices.TestDevice;
using Iced.Intel;
using static Iced.Intel.AssemblerRegisters;

namespace Aperture.Machine.Tests.Guests;

/// <summary>Guests that program PCI, as real code.</summary>
[Collection(LocalKvm.Name)]
public class PciGuestTests
{
    private const string A = "--device test,id=a,addr=04.0,bar0=mem32:8K:trap,bar2=mem32:64K:ram,msi=1";
    private const string B = "--device test,id=b,addr=05.0,bar0=mem32:8K:trap,bar2=mem32:64K:ram";
    private const uint Trapped = 0xE000_0000;
    private const uint Ram = 0xE010_0000;
    private const uint Other = 0xE020_0000;

    private static void Decode(Assembler code, int device, uint command = 2) => Payload.ConfigWrite(code, device, 4, command);

    [Fact]
    public void A_BAR_programmed_through_CF8_answers_with_the_identification_register()
    {
        Guest.Succeeds(
            Payload.Build(code =>
            {
                Payload.ConfigRead(code, 4, 0);
                Payload.Expect(code, 0x0001_A9E7, 1);
                Payload.ConfigRead(code, 4, 0x10);
                Payload.Expect(code, 0, 2);
                Payload.ConfigWrite(code, 4, 0x10, Trapped);
                Payload.ExpectMemory(code, Trapped, uint.MaxValue, 3);
                Decode(code, 4);
                Payload.ExpectMemory(code, Trapped, TestRegisters.Magic, 4);
                Payload.ConfigRead(code, 7, 0);
                Payload.Expect(code, uint.MaxValue, 5);
            }),
            A);
    }

    [Fact]
    public void ECAM_is_off_at_reset_and_works_where_the_guest_puts_it()
    {
        Guest.Succeeds(
            Payload.Build(code =>
            {
                Payload.ExpectMemory(code, 0xB000_0000, uint.MaxValue, 1);
                Payload.ConfigWrite(code, 0, 0x60, 0xB000_0001);
                Payload.ExpectMemory(code, 0xB000_0000, 0x29C0_8086, 2);
                Payload.Store(code, 0xB000_0000 + (4u << 15) + 0x10, Trapped);
                Payload.Store(code, 0xB000_0000 + (4u << 15) + 4, 2);
                Payload.ExpectMemory(code, Trapped, TestRegisters.Magic, 3);
                Payload.Store(code, 0xB000_0060, 0xC000_0001);
                Payload.ExpectMemory(code, 0xB000_0000, uint.MaxValue, 4);
                Payload.ExpectMemory(code, 0xC000_0000 + (4u << 15), 0x0001_A9E7, 5);
            }),
            A);
    }

    [Fact]
    public void VFs_come_and_go_with_the_guests_write_of_the_SR_IOV_control()
    {
        const uint Ecam = 0xB000_0000;
        const uint Function = Ecam + (4u << 15);
        const uint Sriov = Function + 0x100;
        const uint Share = 0x4000;

        // Revision 1 of a class that nobody defined; the ids of a VF read as ones.
        const uint ClassWord = 0xFF00_0001;

        // What a pattern BAR says (docs/test-device.md): VF 2's share is the third of the VF BAR, whose index is 7.
        uint pattern = unchecked((uint)(((2 * (ulong)Share) >> 2) * 0x9E37_79B9_7F4A_7C15 >> 32) + (7 * 0x85EB_CA6B));
        Guest.Succeeds(
            Payload.Build(code =>
            {
                Payload.ConfigWrite(code, 0, 0x60, Ecam + 1);
                Payload.ExpectMemory(code, Sriov, 0x0001_0010, 1);
                Payload.Store(code, Sriov + 0x24, uint.MaxValue);
                Payload.ExpectMemory(code, Sriov + 0x24, ~(Share - 1), 2);
                Payload.Store(code, Sriov + 0x24, Other);
                Payload.Store(code, Sriov + 0x10, 3);
                Payload.ExpectMemory(code, Other + (2 * Share), uint.MaxValue, 3);
                Payload.ExpectMemory(code, Function + (3u << 12) + 8, uint.MaxValue, 4);
                Payload.Store(code, Sriov + 8, 9);
                Payload.ExpectMemory(code, Function + (3u << 12) + 8, ClassWord, 5);
                Payload.ExpectMemory(code, Function + (3u << 12), uint.MaxValue, 6);
                Payload.ExpectMemory(code, Function + (4u << 12) + 8, uint.MaxValue, 7);
                Payload.ExpectMemory(code, Other + (2 * Share), pattern, 8);
                Payload.ExpectMemory(code, Other + (3 * Share), uint.MaxValue, 9);
                Payload.Store(code, Other + (2 * Share), 0);
                Payload.Store(code, Sriov + 8, 0);
                Payload.ExpectMemory(code, Other + (2 * Share), uint.MaxValue, 10);
                Payload.ExpectMemory(code, Function + (3u << 12) + 8, uint.MaxValue, 11);
                Payload.Store(code, Sriov + 8, 9);
                Payload.ExpectMemory(code, Other + (2 * Share), pattern, 12);
            }),
            "--device test,id=a,addr=04.0,vfs=4,vf-bar0=mem32:16K");
    }

    [Fact]
    public void Bytes_written_behind_a_RAM_backed_BAR_move_with_it()
    {
        using Guest guest = new(
            Payload.Build(code =>
            {
                Payload.ConfigWrite(code, 4, 0x18, Ram);
                Decode(code, 4);
                Payload.Store(code, Ram + 0x1234, 0xC0FFEE);
                Payload.ConfigWrite(code, 4, 0x18, Other);
                Payload.ExpectMemory(code, Other + 0x1234, 0xC0FFEE, 1);
                Payload.ExpectMemory(code, Ram + 0x1234, uint.MaxValue, 2);
                Decode(code, 4, 0);
                Payload.ExpectMemory(code, Other + 0x1234, uint.MaxValue, 3);
            }),
            A);
        Assert.Equal(Payload.Success, guest.Run().ExitCode);

        // It was a slot and not a trapped region that answered.
        Assert.Contains(guest.Events, e => e.Contains("slot.added", StringComparison.Ordinal) && e.Contains("0xe0200000", StringComparison.Ordinal));
        Assert.DoesNotContain(guest.Events, e => e.Contains("slot.refused", StringComparison.Ordinal));
    }

    [Fact]
    public void Two_RAM_backed_BARs_swapped_with_decoding_off_keep_their_bytes()
    {
        Guest.Succeeds(
            Payload.Build(code =>
            {
                Payload.ConfigWrite(code, 4, 0x18, Ram);
                Payload.ConfigWrite(code, 5, 0x18, Other);
                Decode(code, 4);
                Decode(code, 5);
                Payload.Store(code, Ram, 0xAAAA);
                Payload.Store(code, Other, 0xBBBB);
                Decode(code, 4, 0);
                Decode(code, 5, 0);
                Payload.ConfigWrite(code, 4, 0x18, Other);
                Payload.ConfigWrite(code, 5, 0x18, Ram);
                Decode(code, 4);
                Decode(code, 5);
                Payload.ExpectMemory(code, Ram, 0xBBBB, 1);
                Payload.ExpectMemory(code, Other, 0xAAAA, 2);
            }),
            A, B);
    }

    [Fact]
    public void An_MSI_fired_by_the_test_device_runs_the_guests_handler()
    {
        const byte Vector = 0x41;
        Guest.Succeeds(
            Payload.Build(code =>
            {
                Payload.TakeInterrupts(code, Vector, body => Payload.Exit(body, 0x10));
                Payload.ConfigWrite(code, 4, 0x10, Trapped);
                Decode(code, 4, 6);

                // The capability chain: the one with id 5.
                Label next = code.CreateLabel();
                Label found = code.CreateLabel();
                Payload.ConfigRead(code, 4, 0x34);
                code.movzx(esi, al);
                code.Label(ref next);
                code.mov(edx, 0xCF8);
                code.lea(eax, __dword_ptr[esi + (0x8000_0000 | 4u << 11)]);
                code.@out(dx, eax);
                code.mov(edx, 0xCFC);
                code.@in(eax, dx);
                code.cmp(al, 5);
                code.je(found);
                code.movzx(esi, ah);
                code.test(esi, esi);
                code.jne(next);
                Payload.Exit(code, 1);
                code.Label(ref found);
                WriteAt(code, 4, 0xFEE0_0000);
                WriteAt(code, 8, 0);
                WriteAt(code, 12, Vector);
                WriteAt(code, 0, 0x0081_0005);
                Payload.Store(code, Trapped + TestRegisters.InterruptTrigger, 0);
                Payload.Spin(code);
            }),
            A);

        // Config write of the device's register at ESI + offset.
        static void WriteAt(Assembler code, uint offset, uint value)
        {
            code.mov(edx, 0xCF8);
            code.lea(eax, __dword_ptr[esi + ((0x8000_0000 | 4u << 11) + offset)]);
            code.@out(dx, eax);
            code.mov(edx, 0xCFC);
            code.mov(eax, value);
            code.@out(dx, eax);
        }
    }

    [Fact]
    public void Random_config_accesses_by_one_vCPU_while_another_runs_end_neither_the_guest_nor_the_monitor()
    {
        const uint Alive = 0x1500;
        using Guest guest = new(
            Payload.Build(code =>
            {
                // The second processor counts in RAM, in real mode: inc word [0x1500], jump back.
                code.mov(__dword_ptr[0x8000], 0x1500_06FF);
                code.mov(__word_ptr[0x8004], 0xFAEB);
                code.mov(__dword_ptr[0xFEE0_00F0], 0x1FF);
                code.mov(__dword_ptr[0xFEE0_0300], 0x000C_4500);
                code.mov(__dword_ptr[0xFEE0_0300], 0x000C_4608);
                Payload.ConfigWrite(code, 0, 0x60, 0xB000_0001);
                Noise(code, rounds: 2000);

                // It still runs, and so does the device.
                Label wait = code.CreateLabel();
                code.movzx(ebx, __word_ptr[Alive]);
                code.Label(ref wait);
                code.movzx(eax, __word_ptr[Alive]);
                code.cmp(eax, ebx);
                code.je(wait);
                Payload.ConfigRead(code, 4, 0);
                Payload.Expect(code, 0x0001_A9E7, 2);
            }),
            A, B, "--root-port id=rp,addr=02.0", "--device test,id=c,port=rp,bar0=mem32:1M:ram,bar2=mem64p:1M:ram", "--cpus 2", "--no-reboot");
        MachineOutcome outcome = guest.Run();
        Assert.Equal(new MachineOutcome(Payload.Success, "the guest wrote the debug-exit port"), outcome);
        Assert.Contains(guest.Events, e => e.Contains("config.write", StringComparison.Ordinal));
    }

    // A linear congruential generator picks function, register, size and value. The hub is spared: it could take the ROM away under the program's feet.
    private static void Noise(Assembler code, int rounds)
    {
        Label next = code.CreateLabel();
        Label ecam = code.CreateLabel();
        Label done = code.CreateLabel();
        code.mov(ecx, rounds);
        code.mov(ebx, 0x1234_5678);
        code.Label(ref next);
        Random(code);
        code.mov(esi, ebx);
        code.shr(esi, 8);
        code.and(esi, 0x3_FFFC);
        code.cmp(esi, 0x800);
        code.jb(done);
        Random(code);
        code.test(ebx, 0x100_0000);
        code.jne(ecam);
        code.mov(edx, 0xCF8);
        code.lea(eax, __dword_ptr[esi + 0x8000_0000]);
        code.@out(dx, eax);
        code.mov(edx, ebx);
        code.shr(edx, 20);
        code.and(edx, 3);
        code.add(edx, 0xCFC);
        code.mov(eax, ebx);
        code.@out(dx, al);
        code.and(edx, 0xFFFE);
        code.@out(dx, ax);
        code.and(edx, 0xFFFC);
        code.@in(eax, dx);
        code.xor(eax, ebx);
        code.@out(dx, eax);
        code.jmp(done);

        // 00:01.0 to 03:1f.7 at 4 KiB each; the low bits of the register as they come.
        code.Label(ref ecam);
        code.shl(esi, 4);
        code.mov(eax, ebx);
        code.and(eax, 0xFFF);
        code.and(esi, 0x3F_F000);
        code.or(esi, eax);
        code.cmp(esi, 0x8000);
        code.jb(done);
        code.mov(__dword_ptr[esi + 0xB000_0000], ebx);
        code.mov(__byte_ptr[esi + 0xB000_0000], bl);
        code.mov(eax, __dword_ptr[esi + 0xB000_0000]);
        code.Label(ref done);
        code.dec(ecx);
        code.jne(next);
    }

    // EBX = EBX * 1664525 + 1013904223.
    private static void Random(Assembler code)
    {
        code.imul(ebx, ebx, 1664525);
        code.add(ebx, 1013904223);
    }
}
