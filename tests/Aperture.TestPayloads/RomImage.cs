using System.Buffers.Binary;
using Iced.Intel;
using static Iced.Intel.AssemblerRegisters;

namespace Aperture.TestPayloads;

/// <summary>
/// Bare-metal programs as a 64 KiB ROM that ends at 4 GiB, where an x86 processor starts. They run on every KVM, and as a firmware file too.
/// </summary>
public static class RomImage
{
    /// <summary>Bytes.</summary>
    public const int Size = 64 << 10;

    /// <summary>Where the image starts in the guest.</summary>
    public static readonly GuestAddress Start = new(0x1_0000_0000 - Size);

    /// <summary>The most bytes that a program may take: the start-up code and the reset vector are in the last page.</summary>
    public const int ProgramRoom = Size - 0x1000;

    /// <summary>Where the last page's parts are, from the image's start: the 16-bit start-up code, the descriptors, the first instruction.</summary>
    private const int StartUpAt = Size - 0x100;
    private const int GdtAt = Size - 0x80;
    private const int GdtPointerAt = Size - 0x50;
    private const int ResetVectorAt = Size - 0x10;

    /// <summary>The flat 32-bit code segment's selector.</summary>
    public const ushort CodeSelector = 0x08;

    /// <summary>The flat data segments' selector.</summary>
    public const ushort DataSelector = 0x10;

    /// <summary>
    /// A program in flat 32-bit protected mode, paging and interrupts off, ESP at <paramref name="stackTop"/> (0x8000 by default, which needs RAM only if
    /// used). Labels, ORG and far addresses are absolute: the program is assembled for <see cref="Start"/>.
    /// </summary>
    public static byte[] Protected32(Action<Assembler> program, uint stackTop = 0x8000)
    {
        ArgumentNullException.ThrowIfNull(program);
        Assembler code = new(32);
        code.mov(eax, DataSelector);
        code.mov(ds, eax);
        code.mov(es, eax);
        code.mov(fs, eax);
        code.mov(gs, eax);
        code.mov(ss, eax);
        code.mov(esp, stackTop);
        program(code);

        byte[] image = Filled();
        Place(image, 0, Assemble(code, (uint)Start.Value), ProgramRoom);
        Place(image, StartUpAt, StartUp(), GdtAt - StartUpAt);

        // The accessed bits are preset (0x9B, 0x93): the processor would otherwise write to ROM (SDM 3A 3.4.5.1).
        ReadOnlySpan<ulong> descriptors = [0, 0x00CF_9B00_0000_FFFF, 0x00CF_9300_0000_FFFF];
        for (int index = 0; index < descriptors.Length; index++)
        {
            BinaryPrimitives.WriteUInt64LittleEndian(image.AsSpan(GdtAt + (8 * index)), descriptors[index]);
        }

        BinaryPrimitives.WriteUInt16LittleEndian(image.AsSpan(GdtPointerAt), (ushort)((8 * descriptors.Length) - 1));
        BinaryPrimitives.WriteUInt32LittleEndian(image.AsSpan(GdtPointerAt + 2), (uint)Start.Value + GdtAt);
        JumpFromResetVector(image, StartUpAt);
        return image;
    }

    /// <summary>
    /// A program in real mode. It starts at offset 0 of the image with CS base <see cref="Start"/> (as after a reset: until the first far jump) and
    /// data segments at 0; offsets are 16 bits.
    /// </summary>
    public static byte[] Real16(Action<Assembler> program)
    {
        ArgumentNullException.ThrowIfNull(program);
        Assembler code = new(16);
        program(code);
        byte[] image = Filled();
        Place(image, 0, Assemble(code, 0), ProgramRoom);
        JumpFromResetVector(image, 0);
        return image;
    }

    /// <summary>Code on its own, assembled for <paramref name="address"/>.</summary>
    public static byte[] Assemble(Assembler code, ulong address)
    {
        ArgumentNullException.ThrowIfNull(code);
        using MemoryStream stream = new();
        code.Assemble(new StreamCodeWriter(stream), address);
        return stream.ToArray();
    }

    // HLT everywhere else: a program that runs astray stops.
    private static byte[] Filled()
    {
        byte[] image = new byte[Size];
        image.AsSpan().Fill(0xF4);
        return image;
    }

    // 16-bit code, CS base = the image's start: load the GDT, set CR0.PE, far jump to the program.
    private static byte[] StartUp()
    {
        Assembler code = new(16);
        code.cli();
        code.db(0x2E, 0x66, 0x0F, 0x01, 0x16);
        code.dw(GdtPointerAt);
        code.mov(eax, cr0);
        code.or(eax, 1);
        code.mov(cr0, eax);
        code.db(0x66, 0xEA);
        code.dd((uint)Start.Value);
        code.dw(CodeSelector);
        return Assemble(code, StartUpAt);
    }

    private static void JumpFromResetVector(byte[] image, int target)
    {
        image[ResetVectorAt] = 0xE9;
        BinaryPrimitives.WriteInt16LittleEndian(image.AsSpan(ResetVectorAt + 1), unchecked((short)(target - (ResetVectorAt + 3))));
    }

    private static void Place(byte[] image, int at, byte[] bytes, int room)
    {
        if (bytes.Length > room)
        {
            throw new ArgumentException($"the code takes {bytes.Length} bytes and {room} are there");
        }

        bytes.CopyTo(image, at);
    }
}
