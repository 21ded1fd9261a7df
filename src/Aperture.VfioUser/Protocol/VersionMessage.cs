using System.Buffers;
using System.Buffers.Binary;
using System.Text.Json;

namespace Aperture.VfioUser.Protocol;

/// <summary>
/// The first message of a connection and its reply (vfio-user protocol, "VFIO_USER_VERSION"): a version, then optionally JSON that ends in a NUL.
/// </summary>
/// <param name="Major">Changes with the format of messages; this program speaks 0.</param>
/// <param name="Minor">Changes with what messages there are; this program speaks 0 and 1.</param>
/// <param name="Capabilities">What the sender supports.</param>
internal readonly record struct VersionMessage(ushort Major, ushort Minor, VersionCapabilities Capabilities)
{
    /// <summary>Bytes before the JSON.</summary>
    public const int FixedLength = 4;

    /// <summary>The payload of this message is at most this long here; what others send has about 200 bytes.</summary>
    public const int MostPayload = 4096;

    /// <summary>The major version that this program speaks.</summary>
    public const ushort OurMajor = 0;

    /// <summary>The highest minor version that this program speaks.</summary>
    public const ushort OurMinor = 1;

    /// <summary>Reads a payload; false when it is none.</summary>
    public static bool TryRead(ReadOnlySpan<byte> payload, out VersionMessage message)
    {
        message = default;
        if (payload.Length < FixedLength)
        {
            return false;
        }

        ReadOnlySpan<byte> json = payload[FixedLength..];
        VersionCapabilities? capabilities = new();
        if (!json.IsEmpty)
        {
            int end = json.IndexOf((byte)0);
            if (end < 0 || !VersionCapabilities.TryRead(json[..end], out capabilities))
            {
                return false;
            }
        }

        message = new VersionMessage(
            BinaryPrimitives.ReadUInt16LittleEndian(payload), BinaryPrimitives.ReadUInt16LittleEndian(payload[2..]), capabilities!);
        return true;
    }

    /// <summary>The payload.</summary>
    public byte[] ToBytes()
    {
        ArrayBufferWriter<byte> bytes = new();
        Span<byte> version = bytes.GetSpan(FixedLength);
        BinaryPrimitives.WriteUInt16LittleEndian(version, Major);
        BinaryPrimitives.WriteUInt16LittleEndian(version[2..], Minor);
        bytes.Advance(FixedLength);
        using (Utf8JsonWriter json = new(bytes))
        {
            Capabilities.Write(json);
        }

        bytes.Write<byte>([0]);
        return bytes.WrittenSpan.ToArray();
    }
}
