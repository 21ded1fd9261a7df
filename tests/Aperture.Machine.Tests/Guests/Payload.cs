using Aperture.TestPayloads;
using Iced.Intel;
using static Iced.Intel.AssemblerRegisters;

namespace Aperture.Machine.Tests.Guests;

/// <summary>Pieces of 32-bit bare-metal programs for a Q35 without firmware. RAM from 0x1000 to 0x8000 is theirs.</summary>
internal static class Payload
{
    /// <summary>What a program's success ends the process with: debug-exit's (0x10 &lt;&lt; 1) | 1.</summary>
    public const int Success = 0x21;

    /// <summary>Where programs count their starts: RAM survives a reset.</summary>
    public const uint Starts = 0x1000;

    private const byte ExitPort = 0xF4;

    public static byte[] Build(Action<Assembler> program) => RomImage.Protected32(code =>
    {
        program(code);
        Exit(code, 0x10);
    });

    /// <summary>What the debug-exit makes of <see cref="Exit"/>'s value.</summary>
    public static int CodeOf(byte value) => (byte)((value << 1) | 1);

    public static void Exit(Assembler code, byte value)
    {
        code.mov(al, value);
        code.@out(ExitPort, al);
        Spin(code);
    }

    public static void Spin(Assembler code)
    {
        Label here = code.CreateLabel();
        code.Label(ref here);
        code.jmp(here);
    }

    public static void ConfigWrite(Assembler code, int device, int offset, uint value)
    {
        Select(code, device, offset);
        code.mov(eax, value);
        code.@out(dx, eax);
    }

    /// <summary>Reads into EAX.</summary>
    public static void ConfigRead(Assembler code, int device, int offset)
    {
        Select(code, device, offset);
        code.@in(eax, dx);
    }

    public static void Store(Assembler code, uint address, uint value) => code.mov(__dword_ptr[address], value);

    /// <summary>Ends with <paramref name="failure"/> unless the word at <paramref name="address"/> is <paramref name="value"/>.</summary>
    public static void ExpectMemory(Assembler code, uint address, uint value, byte failure)
    {
        code.mov(eax, __dword_ptr[address]);
        Expect(code, value, failure);
    }

    /// <summary>Ends with <paramref name="failure"/> unless EAX is <paramref name="value"/>.</summary>
    public static void Expect(Assembler code, uint value, byte failure)
    {
        Label good = code.CreateLabel();
        code.cmp(eax, value);
        code.je(good);
        Exit(code, failure);
        code.Label(ref good);
    }

    /// <summary>Counts this start; from the third on the program succeeds, before that it goes on.</summary>
    public static void SucceedAtThirdStart(Assembler code)
    {
        Label again = code.CreateLabel();
        code.inc(__dword_ptr[Starts]);
        code.cmp(__dword_ptr[Starts], 3);
        code.jb(again);
        Exit(code, 0x10);
        code.Label(ref again);
    }

    /// <summary>
    /// Enables the local APIC and an interrupt table in which <paramref name="vector"/> runs <paramref name="body"/>, which must not return: not every KVM
    /// can emulate IRET.
    /// </summary>
    public static void TakeInterrupts(Assembler code, byte vector, Action<Assembler> body, ushort codeSelector = RomImage.CodeSelector)
    {
        const uint Table = 0x3000;
        Label after = code.CreateLabel();

        // The return address of the call is the handler's.
        code.call(after);
        body(code);
        code.Label(ref after);
        code.pop(eax);
        code.mov(ebx, eax);
        code.and(ebx, 0xFFFF);
        code.or(ebx, codeSelector << 16);
        code.mov(__dword_ptr[Table + (8u * vector)], ebx);
        code.and(eax, 0xFFFF_0000);
        code.or(eax, 0x8E00);
        code.mov(__dword_ptr[Table + (8u * vector) + 4], eax);
        code.mov(__word_ptr[0x2FF0], 0x7FF);
        code.mov(__dword_ptr[0x2FF2], Table);
        code.lidt(__fword_ptr[0x2FF0]);
        code.mov(__dword_ptr[0xFEE0_00F0], 0x1FF);
        code.sti();
    }

    private static void Select(Assembler code, int device, int offset)
    {
        code.mov(edx, 0xCF8);
        code.mov(eax, 0x8000_0000 | (uint)device << 11 | (uint)(offset & 0xFC));
        code.@out(dx, eax);
        code.mov(edx, 0xCFC);
    }
}
