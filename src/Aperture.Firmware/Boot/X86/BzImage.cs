using System.Buffers.Binary;

namespace Aperture.Firmware.Boot.X86;

/// <summary>
/// A Linux bzImage (Documentation/arch/x86/boot.rst, "The Real-Mode Kernel Header"): setup code with a header at 0x1F1, then the
/// protected-mode part, which has a 64-bit entry at +0x200.
/// </summary>
public sealed class BzImage : KernelImage
{
    /// <summary>The oldest protocol accepted, 2.12: the first with the 64-bit entry flagged in xloadflags.</summary>
    public const ushort OldestProtocol = 0x020C;

    /// <summary>
    /// The oldest protocol that firmware starts, 2.04: the first in which the size of the protected-mode part is right. Firmware enters the 16-bit setup code.
    /// </summary>
    public const ushort OldestProtocolUnderFirmware = 0x0204;

    internal const int HeaderStart = 0x1F1;

    /// <summary>End of the header's fields as of protocol 2.12 (handover_offset).</summary>
    private const int HeaderEnd212 = 0x268;

    // The first protocols that have cmdline_size, and pref_address and init_size; those have other bytes, or code, there.
    private const ushort WithCommandLineSize = 0x0206;
    private const ushort WithInitSize = 0x020A;
    private const uint OldCommandLineSize = 255;

    /// <summary>The jump at 0x200 has a one-byte displacement from 0x202, so the header cannot end past this.</summary>
    private const int HeaderEndMax = 0x202 + 0xFF;

    private const uint HdrS = 0x5372_6448;

    private readonly byte[] _header;

    private BzImage(BootFile file, byte[] header)
        : base(file)
    {
        _header = header;
        Protocol = Word(0x206);
        LoadFlags = header[0x211 - HeaderStart];
        InitrdAddressMax = new GuestAddress(Dword(0x22C));
        Alignment = Dword(0x230);
        IsRelocatable = header[0x234 - HeaderStart] != 0;
        ExtendedLoadFlags = Word(0x236);
        CommandLineSize = Protocol >= WithCommandLineSize ? Dword(0x238) : OldCommandLineSize;
        bool saysWhere = Protocol >= WithInitSize;
        PreferredAddress = new GuestAddress(saysWhere ? BinaryPrimitives.ReadUInt64LittleEndian(header.AsSpan(0x258 - HeaderStart)) : 1 << 20);
        InitSize = saysWhere ? Dword(0x260) : Dword(0x1F4) * 16;
        int setupSectors = header[0];
        PayloadOffset = (ulong)(setupSectors == 0 ? 4 : setupSectors) * 512 + 512;
    }

    /// <summary>Boot protocol version, major in the high byte.</summary>
    public ushort Protocol { get; }

    /// <summary>loadflags: bit 0 LOADED_HIGH.</summary>
    public byte LoadFlags { get; }

    /// <summary>xloadflags: bit 0 a 64-bit entry, bit 1 may load above 4 GiB.</summary>
    public ushort ExtendedLoadFlags { get; }

    /// <summary>The highest address a byte of the initramfs may have.</summary>
    public GuestAddress InitrdAddressMax { get; }

    /// <summary>kernel_alignment in bytes, a power of two.</summary>
    public uint Alignment { get; }

    /// <summary>It may be loaded elsewhere than at <see cref="PreferredAddress"/>.</summary>
    public bool IsRelocatable { get; }

    /// <summary>The longest command line in bytes, without the terminating zero.</summary>
    public uint CommandLineSize { get; }

    /// <summary>Where the kernel wants to run (pref_address); a relocatable kernel does not run below it.</summary>
    public GuestAddress PreferredAddress { get; }

    /// <summary>Bytes the kernel needs from its run address on before it reads the memory map.</summary>
    public uint InitSize { get; }

    /// <summary>Where the protected-mode part begins in the file.</summary>
    public ulong PayloadOffset { get; }

    /// <summary>Bytes of the protected-mode part; what follows it in the file (a signature) is not loaded.</summary>
    public ulong PayloadLength { get; private init; }

    /// <summary>The header's bytes from 0x1F1 to its end, for the zero page.</summary>
    internal ReadOnlySpan<byte> Header => _header;

    internal static bool IsBzImage(BootFile file)
    {
        if (file.Length < 0x206)
        {
            return false;
        }

        Span<byte> magic = stackalloc byte[4];
        file.Read(0x202, magic);
        return BinaryPrimitives.ReadUInt32LittleEndian(magic) == HdrS;
    }

    internal static BzImage Parse(BootFile file, bool byFirmware)
    {
        if (file.Length < HeaderEnd212)
        {
            throw Damaged(file, $"is truncated: its setup header ends at {HeaderEnd212} bytes, the file at {file.Length}");
        }

        byte[] header = new byte[(int)Math.Min(file.Length, HeaderEndMax) - HeaderStart];
        file.Read(HeaderStart, header);
        int end = 0x202 + header[0x201 - HeaderStart];
        ushort version = BinaryPrimitives.ReadUInt16LittleEndian(header.AsSpan(0x206 - HeaderStart));
        if (BinaryPrimitives.ReadUInt16LittleEndian(header.AsSpan(0x1FE - HeaderStart)) != 0xAA55)
        {
            throw Damaged(file, "is damaged: no 0xAA55 at 0x1FE");
        }

        ushort oldest = byFirmware ? OldestProtocolUnderFirmware : OldestProtocol;
        if (version < oldest)
        {
            throw Damaged(file, $"speaks boot protocol {version >> 8}.{version & 0xFF:d2}, but {oldest >> 8}.{oldest & 0xFF:d2} or newer is "
                + $"needed{(byFirmware ? "" : "; firmware starts older ones (--firmware)")}");
        }

        if (byFirmware)
        {
            // Fields that a protocol does not have may be code, and the file is long enough to read them.
            return Checked(file, header, byFirmware);
        }

        if (end < HeaderEnd212 || end - HeaderStart > header.Length)
        {
            throw Damaged(file, $"is damaged: its setup header claims to end at 0x{end:x}");
        }

        return Checked(file, header[..(end - HeaderStart)], byFirmware);
    }

    private static BzImage Checked(BootFile file, byte[] header, bool byFirmware)
    {
        var image = new BzImage(file, header);
        if ((image.LoadFlags & 1) == 0)
        {
            throw Damaged(file, "is a zImage that loads below 1 MiB, which cannot be booted");
        }

        if (!byFirmware && (image.ExtendedLoadFlags & 1) == 0)
        {
            throw Damaged(file, "has no 64-bit entry (it is a 32-bit kernel); firmware starts such kernels (--firmware)");
        }

        if (!byFirmware && !uint.IsPow2(image.Alignment))
        {
            throw Damaged(file, $"is damaged: its alignment 0x{image.Alignment:x} is not a power of two");
        }

        // The size is in paragraphs of 16 bytes, the last one possibly part-filled.
        ulong wanted = (ulong)image.Dword(0x1F4) * 16;
        ulong present = file.Length > image.PayloadOffset ? file.Length - image.PayloadOffset : 0;
        if (present + 15 < wanted || present <= LinuxBoot.Entry64Offset || wanted <= LinuxBoot.Entry64Offset)
        {
            throw Damaged(file, $"is truncated: {image.PayloadOffset + wanted} bytes are needed, the file has {file.Length}");
        }

        return new BzImage(file, header) { PayloadLength = Math.Min(present, wanted) };
    }

    private static ApertureException Damaged(BootFile file, string what) => new($"kernel {file.Path} {what}");

    private ushort Word(int offset) => BinaryPrimitives.ReadUInt16LittleEndian(_header.AsSpan(offset - HeaderStart));

    private uint Dword(int offset) => BinaryPrimitives.ReadUInt32LittleEndian(_header.AsSpan(offset - HeaderStart));
}
