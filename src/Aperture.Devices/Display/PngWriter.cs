using System.Buffers.Binary;
using System.IO.Compression;

namespace Aperture.Devices.Display;

/// <summary>Writes PNG (ISO/IEC 15948): 8 bits a channel, RGBA, no filter, no interlace.</summary>
internal static class PngWriter
{
    private const byte Depth = 8;
    private const byte TrueColorWithAlpha = 6;
    private const byte NoFilter = 0;

    private static readonly uint[] CrcTable = MakeCrcTable();

    /// <summary>Writes <paramref name="image"/> to <paramref name="output"/>.</summary>
    public static void Write(Stream output, ScreenImage image)
    {
        output.Write([0x89, (byte)'P', (byte)'N', (byte)'G', 0x0D, 0x0A, 0x1A, 0x0A]);
        Span<byte> header = stackalloc byte[13];
        BinaryPrimitives.WriteInt32BigEndian(header, image.Width);
        BinaryPrimitives.WriteInt32BigEndian(header[4..], image.Height);
        header[8] = Depth;
        header[9] = TrueColorWithAlpha;
        header[10..].Clear();
        WriteChunk(output, "IHDR"u8, header);

        using MemoryStream data = new();
        using (ZLibStream compressed = new(data, CompressionLevel.Fastest, leaveOpen: true))
        {
            int stride = image.Width * ScreenImage.PixelSize;
            for (int line = 0; line < image.Height; line++)
            {
                compressed.WriteByte(NoFilter);
                compressed.Write(image.Pixels, line * stride, stride);
            }
        }

        WriteChunk(output, "IDAT"u8, data.GetBuffer().AsSpan(0, (int)data.Length));
        WriteChunk(output, "IEND"u8, []);
    }

    private static void WriteChunk(Stream output, ReadOnlySpan<byte> type, ReadOnlySpan<byte> content)
    {
        Span<byte> word = stackalloc byte[4];
        BinaryPrimitives.WriteInt32BigEndian(word, content.Length);
        output.Write(word);
        output.Write(type);
        output.Write(content);
        BinaryPrimitives.WriteUInt32BigEndian(word, ~Crc(Crc(uint.MaxValue, type), content));
        output.Write(word);
    }

    private static uint Crc(uint crc, ReadOnlySpan<byte> bytes)
    {
        foreach (byte value in bytes)
        {
            crc = CrcTable[(byte)(crc ^ value)] ^ crc >> 8;
        }

        return crc;
    }

    private static uint[] MakeCrcTable()
    {
        uint[] table = new uint[256];
        for (uint n = 0; n < 256; n++)
        {
            uint crc = n;
            for (int bit = 0; bit < 8; bit++)
            {
                crc = (crc & 1) != 0 ? 0xEDB8_8320 ^ crc >> 1 : crc >> 1;
            }

            table[n] = crc;
        }

        return table;
    }
}
