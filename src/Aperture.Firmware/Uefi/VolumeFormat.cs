using System.Buffers.Binary;

namespace Aperture.Firmware.Uefi;

/// <summary>
/// The outer form of a UEFI image (UEFI PI 1.8, volume 3, section 3.2): firmware volumes hold files, files hold sections. The image may be anything; what is
/// not understood ends an enumeration.
/// </summary>
internal static class VolumeFormat
{
    private const int VolumeHeader = 56;
    private const int LengthOffset = 32;
    private const int SignatureOffset = 40;
    private const int HeaderLengthOffset = 48;
    private const int ExtendedHeaderOffset = 52;
    private const int GuidSize = 16;

    /// <summary>The volume that begins with <paramref name="bytes"/>, as far as there are any; empty when none begins.</summary>
    public static ReadOnlySpan<byte> VolumeAt(ReadOnlySpan<byte> bytes)
    {
        if (bytes.Length < VolumeHeader || !bytes[SignatureOffset..].StartsWith("_FVH"u8))
        {
            return [];
        }

        ulong length = BinaryPrimitives.ReadUInt64LittleEndian(bytes[LengthOffset..]);
        return length < VolumeHeader ? [] : bytes[..(int)Math.Min(length, (ulong)bytes.Length)];
    }

    /// <summary>The files of a volume that <see cref="VolumeAt"/> found; none of an empty one.</summary>
    public static VolumeFiles FilesOf(ReadOnlySpan<byte> volume)
    {
        if (volume.IsEmpty)
        {
            return new VolumeFiles([], 0);
        }

        ulong first = BinaryPrimitives.ReadUInt16LittleEndian(volume[HeaderLengthOffset..]);
        ulong extended = BinaryPrimitives.ReadUInt16LittleEndian(volume[ExtendedHeaderOffset..]);
        if (extended != 0 && extended + GuidSize + 4 <= (ulong)volume.Length)
        {
            first = extended + BinaryPrimitives.ReadUInt32LittleEndian(volume[(int)(extended + GuidSize)..]);
        }

        return new VolumeFiles(volume, first);
    }

    public static uint ReadUInt24(ReadOnlySpan<byte> bytes) => bytes[0] | (uint)bytes[1] << 8 | (uint)bytes[2] << 16;

    public static ulong AlignUp(ulong value, ulong to) => (value + to - 1) & ~(to - 1);
}

/// <summary>The files of a volume, one after the other: they begin at multiples of 8.</summary>
internal ref struct VolumeFiles(ReadOnlySpan<byte> volume, ulong first)
{
    private const int Header = 24;
    private const int LargeHeader = 32;
    private readonly ReadOnlySpan<byte> _volume = volume;
    private ulong _next = VolumeFormat.AlignUp(first, 8);

    /// <summary>The file that <see cref="MoveNext"/> found.</summary>
    public VolumeFile Current { get; private set; } = default;

    public readonly VolumeFiles GetEnumerator() => this;

    public bool MoveNext()
    {
        if (_next + Header > (ulong)_volume.Length)
        {
            return false;
        }

        ReadOnlySpan<byte> file = _volume[(int)_next..];
        bool isLarge = (file[19] & 1) != 0 && file.Length >= LargeHeader;
        int header = isLarge ? LargeHeader : Header;
        ulong size = isLarge ? BinaryPrimitives.ReadUInt64LittleEndian(file[Header..]) : VolumeFormat.ReadUInt24(file[20..]);
        if (size < (ulong)header || size > (ulong)file.Length)
        {
            return false;
        }

        Current = new VolumeFile(new Guid(file[..16]), file[18], file[header..(int)size]);
        _next = VolumeFormat.AlignUp(_next + size, 8);
        return true;
    }
}

/// <summary>A file of a volume.</summary>
/// <param name="name">Its name.</param>
/// <param name="type">EFI_FV_FILETYPE.</param>
/// <param name="sections">What follows its header.</param>
internal readonly ref struct VolumeFile(Guid name, byte type, ReadOnlySpan<byte> sections)
{
    public const byte SecurityCore = 0x03;
    public const byte VolumeImage = 0x0B;
    private readonly ReadOnlySpan<byte> _sections = sections;

    public Guid Name { get; } = name;

    public byte Type { get; } = type;

    public FileSections Sections => new(_sections);
}

/// <summary>Sections, one after the other: they begin at multiples of 4. Of what was decoded in part, the last one is cut.</summary>
internal ref struct FileSections(ReadOnlySpan<byte> sections)
{
    private const int Header = 4;
    private const int LargeHeader = 8;
    private ReadOnlySpan<byte> _rest = sections;

    /// <summary>The section that <see cref="MoveNext"/> found.</summary>
    public FileSection Current { get; private set; } = default;

    public readonly FileSections GetEnumerator() => this;

    public bool MoveNext()
    {
        if (_rest.Length < LargeHeader)
        {
            return false;
        }

        bool isLarge = VolumeFormat.ReadUInt24(_rest) == 0xFF_FFFF;
        int header = isLarge ? LargeHeader : Header;
        uint size = isLarge ? BinaryPrimitives.ReadUInt32LittleEndian(_rest[Header..]) : VolumeFormat.ReadUInt24(_rest);
        if (size < header)
        {
            return false;
        }

        Current = new FileSection(_rest[3], _rest[..(int)Math.Min(size, (uint)_rest.Length)], header);
        _rest = _rest[(int)Math.Min(VolumeFormat.AlignUp(size, 4), (ulong)_rest.Length)..];
        return true;
    }
}

/// <summary>A section.</summary>
/// <param name="type">EFI_SECTION_TYPE.</param>
/// <param name="whole">All of it.</param>
/// <param name="header">How much of that is the header common to all.</param>
internal readonly ref struct FileSection(byte type, ReadOnlySpan<byte> whole, int header)
{
    public const byte Encapsulated = 0x02;
    public const byte Pe32 = 0x10;
    public const byte Te = 0x12;
    public const byte VolumeImage = 0x17;

    public byte Type { get; } = type;

    /// <summary>All of it, header included: a section's own header counts offsets from here.</summary>
    public ReadOnlySpan<byte> Whole { get; } = whole;

    /// <summary>Bytes of the header that is common to all.</summary>
    public int HeaderLength { get; } = header;

    public ReadOnlySpan<byte> Body => Whole[HeaderLength..];
}
