using System.Buffers.Binary;

namespace Aperture.TestKit.Parts.Kernels;

/// <summary>Small kernel files with correct headers; tests change single fields of them.</summary>
public static class SyntheticKernels
{
    public const ulong PvhEntry = 0x10_0010;

    /// <summary>Where <see cref="Multiboot"/> has its header.</summary>
    public const int MultibootHeaderAt = 0x1020;

    /// <summary>A relocatable 64-bit bzImage, protocol 2.15: 5 sectors of setup, 8 KiB of payload of rising bytes.</summary>
    public static byte[] BzImage()
    {
        byte[] file = new byte[5 * 512 + 8192];
        file[0x1F1] = 4;
        U32(file, 0x1F4, 8192 / 16);
        U16(file, 0x1FE, 0xAA55);
        file[0x200] = 0xEB;
        file[0x201] = 0x6C - 2;
        U32(file, 0x202, 0x5372_6448);
        U16(file, 0x206, 0x020F);
        file[0x211] = 0x61;
        U32(file, 0x22C, 0x7FFF_FFFF);
        U32(file, 0x230, 0x20_0000);
        file[0x234] = 1;
        U16(file, 0x236, 0x7F);
        U32(file, 0x238, 2047);
        U64(file, 0x250, 0xDEAD_BEEF);
        U64(file, 0x258, 0x100_0000);
        U32(file, 0x260, 0x80_0000);
        for (int i = 5 * 512; i < file.Length; i++)
        {
            file[i] = (byte)i;
        }

        return file;
    }

    /// <summary>An arm64 Image that may be anywhere: 12 KiB of content, 64 KiB of memory.</summary>
    public static byte[] Arm64()
    {
        byte[] file = new byte[0x3000];
        "MZ"u8.CopyTo(file);
        U64(file, 16, 0x1_0000);
        U64(file, 24, 0xA);
        "ARM\x64"u8.CopyTo(file.AsSpan(56));
        for (int i = 64; i < file.Length; i++)
        {
            file[i] = (byte)(i * 7);
        }

        return file;
    }

    /// <summary>A UEFI program that holds <paramref name="packed"/>, as a kernel's build makes it.</summary>
    public static byte[] Zboot(byte[] packed, string method)
    {
        ArgumentNullException.ThrowIfNull(packed);
        byte[] file = new byte[0x200 + packed.Length + 0x100];
        "MZ\0\0zimg"u8.CopyTo(file);
        U32(file, 8, 0x200);
        U32(file, 12, (uint)packed.Length);
        System.Text.Encoding.ASCII.GetBytes(method, file.AsSpan(24));
        packed.CopyTo(file, 0x200);
        return file;
    }

    /// <summary>An ELF kernel with a foreign note, the PVH note, and two loaded parts, the second with zeros behind it; out of order.</summary>
    public static byte[] Elf(bool wide)
    {
        byte[] file = new byte[0x3000];
        new byte[] { 0x7F, 0x45, 0x4C, 0x46, (byte)(wide ? 2 : 1), 1, 1 }.CopyTo(file, 0);
        U16(file, 16, 2);
        U16(file, 18, (ushort)(wide ? 62 : 3));
        U32(file, 20, 1);
        int header = wide ? 64 : 52;
        int entry = wide ? 56 : 32;
        if (wide)
        {
            U64(file, 32, (ulong)header);
            U16(file, 54, (ushort)entry);
            U16(file, 56, 3);
        }
        else
        {
            U32(file, 28, (uint)header);
            U16(file, 42, (ushort)entry);
            U16(file, 44, 3);
        }

        Program(file, header, wide, 1, 0x2000, 0x20_0000, 0x800, 0x5000);
        Program(file, header + entry, wide, 4, 0x800, 0, wide ? 0x30u : 0x2Cu, wide ? 0x30u : 0x2Cu);
        Program(file, header + 2 * entry, wide, 1, 0x1000, 0x10_0000, 0x1000, 0x1000);

        // A foreign note of five name bytes (filled to eight) without a descriptor, then the one that counts.
        U32(file, 0x800, 5);
        U32(file, 0x808, 18);
        "Xenix"u8.CopyTo(file.AsSpan(0x80C));
        U32(file, 0x814, 4);
        U32(file, 0x818, wide ? 8u : 4u);
        U32(file, 0x81C, 18);
        "Xen\0"u8.CopyTo(file.AsSpan(0x820));
        U32(file, 0x824, (uint)PvhEntry);
        for (int i = 0x1000; i < file.Length; i++)
        {
            file[i] = (byte)(i >> 4);
        }

        return file;
    }

    /// <summary>
    /// The same two loaded parts without the PVH note (both notes are foreign), with a Multiboot header at 0x1020, in the part at 1 MiB, and the entry given by
    /// the address that the kernel is linked for.
    /// </summary>
    public static byte[] Multiboot(bool wide, uint flags = 3)
    {
        byte[] file = Elf(wide);
        U32(file, 0x81C, 17);
        if (wide)
        {
            U64(file, 24, 0xFFFF_FFFF_8000_0000 + PvhEntry);
        }
        else
        {
            U32(file, 24, 0xC000_0000 + (uint)PvhEntry);
        }

        MultibootHeader(file, MultibootHeaderAt, flags);
        return file;
    }

    /// <summary>Writes the three words of a Multiboot header.</summary>
    public static void MultibootHeader(byte[] file, int at, uint flags)
    {
        U32(file, at, 0x1BAD_B002);
        U32(file, at + 4, flags);
        U32(file, at + 8, unchecked(0 - (0x1BAD_B002 + flags)));
    }

    public static void U16(byte[] file, int at, ushort value) => BinaryPrimitives.WriteUInt16LittleEndian(file.AsSpan(at), value);

    public static void U32(byte[] file, int at, uint value) => BinaryPrimitives.WriteUInt32LittleEndian(file.AsSpan(at), value);

    public static void U64(byte[] file, int at, ulong value) => BinaryPrimitives.WriteUInt64LittleEndian(file.AsSpan(at), value);

    private static void Program(byte[] file, int at, bool wide, uint type, uint offset, uint physical, uint fileSize, uint memorySize)
    {
        U32(file, at, type);
        if (wide)
        {
            U64(file, at + 8, offset);
            U64(file, at + 16, 0xFFFF_FFFF_8000_0000 + physical);
            U64(file, at + 24, physical);
            U64(file, at + 32, fileSize);
            U64(file, at + 40, memorySize);
        }
        else
        {
            U32(file, at + 4, offset);
            U32(file, at + 8, 0xC000_0000 + physical);
            U32(file, at + 12, physical);
            U32(file, at + 16, fileSize);
            U32(file, at + 20, memorySize);
        }
    }
}
