using Iced.Intel;
using static Iced.Intel.AssemblerRegisters;

namespace Aperture.Kvm.Tests;

/// <summary>Pieces that several programs share.</summary>
internal static class PayloadParts
{
    /// <summary>Tells the test that the program has ended; never goes on.</summary>
    public static void Done(Assembler code)
    {
        Label forever = code.CreateLabel();
        code.mov(eax, 0);
        code.@out((byte)ScriptedExits.DonePort, eax);
        code.Label(ref forever);
        code.jmp(forever);
    }

    /// <summary>Jumps to itself for ever.</summary>
    public static void Spin(Assembler code)
    {
        Label forever = code.CreateLabel();
        code.Label(ref forever);
        code.jmp(forever);
    }

    /// <summary>Writes <paramref name="value"/> to <paramref name="port"/> (below 0x100).</summary>
    public static void Out8(Assembler code, byte port, byte value)
    {
        code.mov(al, value);
        code.@out(port, al);
    }

    /// <summary>Real mode: the first PIC's inputs at vectors 0x20 to 0x27, the second's at 0x28, all unmasked (8259A data sheet, ICW1 to ICW4).</summary>
    public static void StartPics(Assembler code)
    {
        Out8(code, 0x20, 0x11);
        Out8(code, 0x21, 0x20);
        Out8(code, 0x21, 0x04);
        Out8(code, 0x21, 0x01);
        Out8(code, 0xA0, 0x11);
        Out8(code, 0xA1, 0x28);
        Out8(code, 0xA1, 0x02);
        Out8(code, 0xA1, 0x01);
        Out8(code, 0x21, 0x00);
        Out8(code, 0xA1, 0x00);
    }

    /// <summary>Puts <paramref name="body"/> here, jumped over, its address in EAX (AX in real mode). The stack must work.</summary>
    public static void Handler(Assembler code, Action<Assembler> body)
    {
        // The return address of the call is the body's.
        Label after = code.CreateLabel();
        code.call(after);
        body(code);
        code.Label(ref after);
        if (code.Bitness == 16)
        {
            code.pop(ax);
        }
        else
        {
            code.pop(eax);
        }
    }

    /// <summary>Real mode: points <paramref name="vector"/> at AX in the copy of the ROM at 0xF0000, whose segment an interrupt can return to.</summary>
    public static void SetVector(Assembler code, byte vector)
    {
        code.mov(__word_ptr[vector * 4], ax);
        code.mov(__word_ptr[(vector * 4) + 2], 0xF000);
    }

    /// <summary>Real mode, first of all: goes on in the copy of the ROM at 0xF0000, with a stack at 0x7000.</summary>
    public static void EnterLowCopy(Assembler code)
    {
        // A far jump to the byte behind itself; the program starts at offset 0.
        code.db(0xEA, 0x05, 0x00, 0x00, 0xF0);
        code.xor(ax, ax);
        code.mov(ss, ax);
        code.mov(sp, 0x7000);
    }
}
