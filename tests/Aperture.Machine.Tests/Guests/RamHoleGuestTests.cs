using Aperture.Memory;
using Iced.Intel;
using static Iced.Intel.AssemblerRegisters;

namespace Aperture.Machine.Tests.Guests;

/// <summary>A bare-metal program that moves the low hole under its own RAM, on local KVM.</summary>
[Collection(LocalKvm.Name)]
public class RamHoleGuestTests
{
    private const uint First = 0x10_0000;
    private const uint Hole = 32 << 20;
    private const uint End = 64 << 20;
    private const uint Stride = 256;
    private const uint Key = 0x5A5A_A5A5;
    private const ulong FourGiB = 1UL << 32;

    [Fact]
    public void A_pattern_over_all_RAM_survives_the_low_hole_moving_down_and_up_and_shows_above_4_GiB_meanwhile()
    {
        byte[] image = Payload.Build(code =>
        {
            Loop(code, First, End, () =>
            {
                code.mov(__dword_ptr[ebx], eax);
            });
            Move(code, Hole);
            Check(code, First, Hole, 1);
            Payload.ExpectMemory(code, Hole, uint.MaxValue, 2);
            Payload.ExpectMemory(code, End - Stride, uint.MaxValue, 3);
            Move(code, End);
            Check(code, First, End, 4);
            Move(code, Hole);
        });
        using Guest guest = new(image, "--memory 64M");
        Assert.Equal(Payload.Success, guest.Run().ExitCode);
        DmaPort port = new(guest.Machine.Board.Memory, guest.Machine.Board.MemoryDispatcher, _ => false);
        byte[] bytes = new byte[4];
        for (uint at = Hole; at < End; at += Stride)
        {
            Assert.True(port.Read(new GuestAddress(FourGiB + at - Hole), bytes));
            Assert.Equal(at ^ Key, BitConverter.ToUInt32(bytes));
        }
    }

    // The window stays open from 4 GiB on; TOLUD alone says where it begins to show.
    private static void Move(Assembler code, uint hole)
    {
        Payload.ConfigWrite(code, 0, 0x98, 0x0040_0040);
        Payload.ConfigWrite(code, 0, 0xA0, (0x1000 + ((End - hole) >> 20)) << 16 | 1);
        Payload.ConfigWrite(code, 0, 0xB0, hole >> 16);
    }

    private static void Check(Assembler code, uint first, uint end, byte failure) => Loop(code, first, end, () =>
    {
        Label good = code.CreateLabel();
        code.cmp(__dword_ptr[ebx], eax);
        code.je(good);
        Payload.Exit(code, failure);
        code.Label(ref good);
    });

    // Visits addresses in EBX with the pattern in EAX.
    private static void Loop(Assembler code, uint first, uint end, Action body)
    {
        Label next = code.CreateLabel();
        code.mov(ebx, first);
        code.Label(ref next);
        code.mov(eax, ebx);
        code.xor(eax, unchecked((int)Key));
        body();
        code.add(ebx, Stride);
        code.cmp(ebx, end);
        code.jb(next);
    }
}
