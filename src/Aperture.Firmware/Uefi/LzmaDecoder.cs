using System.Buffers.Binary;
using SharpCompress.Common;
using SharpCompress.Compressors.LZMA;

namespace Aperture.Firmware.Uefi;

/// <summary>
/// Decodes LZMA with the 13-byte header that UEFI's compressed sections have ("LZMA specification" of the LZMA SDK): properties, size of the dictionary, size
/// of the whole. The bytes may be anything: what is no LZMA decodes to less than it claims, or to nonsense.
/// </summary>
internal static class LzmaDecoder
{
    private const int HeaderSize = 13;
    private const int DictionaryOffset = 1;
    private const int SizeOffset = 5;

    // What is read at once is lost where damage begins in it.
    private const int Piece = 256;

    /// <summary>
    /// The first <paramref name="most"/> bytes, at most, of what <paramref name="source"/> holds from <paramref name="start"/> on; fewer where it ends or is no
    /// LZMA. Never throws.
    /// </summary>
    public static byte[] Decode(byte[] source, int start, int most)
    {
        if (start < 0 || source.Length - start < HeaderSize)
        {
            return [];
        }

        ReadOnlySpan<byte> header = source.AsSpan(start, HeaderSize);
        ulong size = BinaryPrimitives.ReadUInt64LittleEndian(header[SizeOffset..]);
        byte[] output = new byte[(int)Math.Min(size, (ulong)most)];

        // Nothing that is wanted refers back further than its own length, whatever dictionary is asked for.
        byte[] properties = header[..SizeOffset].ToArray();
        uint dictionary = BinaryPrimitives.ReadUInt32LittleEndian(header[DictionaryOffset..]);
        BinaryPrimitives.WriteUInt32LittleEndian(properties.AsSpan(DictionaryOffset), Math.Min(dictionary, (uint)output.Length));
        int done = 0;
        try
        {
            using PackedBytes packed = new(source, start + HeaderSize, source.Length - start - HeaderSize);

            // The whole is not always said; its end is then marked.
            using LzmaStream stream = LzmaStream.Create(properties, packed, packed.Length, size > long.MaxValue ? -1 : (long)size, leaveOpen: false);
            int read;
            while (done < output.Length && (read = stream.Read(output, done, Math.Min(Piece, output.Length - done))) > 0)
            {
                done += read;
            }
        }
        catch (Exception fault) when (fault is SharpCompressException or IOException or ArgumentException or IndexOutOfRangeException)
        {
            // What came before the damage counts, as for a stream that ends early.
        }

        return output[..done];
    }

    // The library goes on with bytes of its own where the packed ones end.
    private sealed class PackedBytes(byte[] bytes, int start, int length) : MemoryStream(bytes, start, length, writable: false)
    {
        public override int ReadByte() => base.ReadByte() is >= 0 and int value ? value : throw new EndOfStreamException();

        public override int Read(byte[] buffer, int offset, int count) =>
            base.Read(buffer, offset, count) is > 0 and int read ? read : throw new EndOfStreamException();

        public override int Read(Span<byte> buffer) => base.Read(buffer) is > 0 and int read ? read : throw new EndOfStreamException();
    }
}
