using System.Buffers.Binary;
using System.Text;

namespace Aperture.Firmware.Aml;

/// <summary>The byte forms every AML object is made of: package lengths, names and integers (ACPI 6.5 20.2.2 to 20.2.4).</summary>
internal static class AmlEncoding
{
    /// <summary>The largest length that four bytes can say (28 bits).</summary>
    public const int LargestPackage = 0xFFF_FFFF;

    private const byte RootPrefix = (byte)'\\';
    private const byte ParentPrefix = (byte)'^';
    private const byte DualNamePrefix = 0x2E;
    private const byte MultiNamePrefix = 0x2F;

    /// <summary>
    /// The encoding of a package length. The length counts its own bytes when it introduces a body (<paramref name="body"/> bytes follow);
    /// a field's width does not (<paramref name="countsItself"/> false).
    /// </summary>
    public static byte[] PackageLength(int body, bool countsItself = true)
    {
        for (int bytes = 1; bytes <= 4; bytes++)
        {
            long length = body + (countsItself ? bytes : 0L);
            long limit = bytes == 1 ? 0x3F : (1L << (4 + 8 * (bytes - 1))) - 1;
            if (length > limit)
            {
                continue;
            }

            // One byte holds six bits; more bytes hold four bits in the lead and eight in each follower.
            byte[] encoded = new byte[bytes];
            encoded[0] = bytes == 1 ? (byte)length : (byte)((bytes - 1) << 6 | (int)(length & 0xF));
            for (int i = 1; i < bytes; i++)
            {
                encoded[i] = (byte)(length >> (4 + 8 * (i - 1)));
            }

            return encoded;
        }

        throw new ArgumentOutOfRangeException(nameof(body), $"an AML package holds at most {LargestPackage} bytes, not {body}");
    }

    /// <summary>The shortest encoding of an integer.</summary>
    public static byte[] Integer(ulong value)
    {
        switch (value)
        {
            case 0 or 1:
                return [(byte)value];
            case ulong.MaxValue:
                return [0xFF];
            case <= byte.MaxValue:
                return [0x0A, (byte)value];
            case <= ushort.MaxValue:
                byte[] word = [0x0B, 0, 0];
                BinaryPrimitives.WriteUInt16LittleEndian(word.AsSpan(1), (ushort)value);
                return word;
            case <= uint.MaxValue:
                byte[] dword = [0x0C, 0, 0, 0, 0];
                BinaryPrimitives.WriteUInt32LittleEndian(dword.AsSpan(1), (uint)value);
                return dword;
            default:
                byte[] qword = [0x0E, 0, 0, 0, 0, 0, 0, 0, 0];
                BinaryPrimitives.WriteUInt64LittleEndian(qword.AsSpan(1), value);
                return qword;
        }
    }

    /// <summary>A path such as <c>\_SB.PCI0</c>, <c>^CDW1</c> or <c>_HID</c>; short segments are filled with underscores.</summary>
    /// <exception cref="ArgumentException">A segment is empty, too long or has a character no name may have.</exception>
    public static byte[] Path(string path)
    {
        ArgumentException.ThrowIfNullOrEmpty(path);
        List<byte> encoded = [];
        int start = 0;
        if (path[0] == '\\')
        {
            encoded.Add(RootPrefix);
            start = 1;
        }
        else
        {
            while (start < path.Length && path[start] == '^')
            {
                encoded.Add(ParentPrefix);
                start++;
            }
        }

        if (start == path.Length)
        {
            encoded.Add(0);
            return [.. encoded];
        }

        string[] segments = path[start..].Split('.');
        switch (segments.Length)
        {
            case 1:
                break;
            case 2:
                encoded.Add(DualNamePrefix);
                break;
            case <= 255:
                encoded.Add(MultiNamePrefix);
                encoded.Add((byte)segments.Length);
                break;
            default:
                throw new ArgumentException($"the ACPI path '{path}' has more than 255 segments", nameof(path));
        }

        foreach (string segment in segments)
        {
            encoded.AddRange(Segment(segment));
        }

        return [.. encoded];
    }

    /// <summary>One name of up to four characters: a capital letter or underscore, then digits too.</summary>
    public static byte[] Segment(string name)
    {
        bool wellFormed = name.Length is >= 1 and <= 4 && !char.IsAsciiDigit(name[0]);
        foreach (char letter in name)
        {
            wellFormed &= letter == '_' || char.IsAsciiLetterUpper(letter) || char.IsAsciiDigit(letter);
        }

        return wellFormed
            ? Encoding.ASCII.GetBytes(name.PadRight(4, '_'))
            : throw new ArgumentException($"'{name}' is not an ACPI name (one to four of A-Z, 0-9 and _, no digit first)", nameof(name));
    }
}
