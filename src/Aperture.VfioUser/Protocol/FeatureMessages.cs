using System.Buffers.Binary;

namespace Aperture.VfioUser.Protocol;

/// <summary>VFIO_DEVICE_FEATURE_* (vfio-user protocol, "VFIO_USER_DEVICE_FEATURE"): what to do; the low 16 bits say with which feature.</summary>
[Flags]
internal enum FeatureFlags : uint
{
    /// <summary>The bits of the feature's number.</summary>
    IndexMask = 0xFFFF,

    /// <summary>Read it.</summary>
    Get = 1 << 16,

    /// <summary>Write it.</summary>
    Set = 1 << 17,

    /// <summary>Ask whether that could be done.</summary>
    Probe = 1 << 18,
}

/// <summary>A feature of the device, request and reply (vfio-user protocol, "VFIO_USER_DEVICE_FEATURE"). Its data follow.</summary>
/// <param name="ArgumentSize">In a request the bytes that the reply may have, in a reply those that it needs.</param>
/// <param name="Flags">What to do.</param>
internal readonly record struct DeviceFeature(uint ArgumentSize, FeatureFlags Flags)
{
    /// <summary>Bytes before the data.</summary>
    public const int Length = 8;

    /// <summary>The feature's number.</summary>
    public ushort Index => (ushort)(Flags & FeatureFlags.IndexMask);

    /// <summary>Reads the start of a payload; false when it is none.</summary>
    public static bool TryRead(ReadOnlySpan<byte> payload, out DeviceFeature feature)
    {
        feature = default;
        if (payload.Length < Length)
        {
            return false;
        }

        feature = new DeviceFeature(
            BinaryPrimitives.ReadUInt32LittleEndian(payload), (FeatureFlags)BinaryPrimitives.ReadUInt32LittleEndian(payload[4..]));
        return feature.ArgumentSize >= Length;
    }

    /// <summary>Writes the first <see cref="Length"/> bytes.</summary>
    public void Write(Span<byte> payload)
    {
        BinaryPrimitives.WriteUInt32LittleEndian(payload, ArgumentSize);
        BinaryPrimitives.WriteUInt32LittleEndian(payload[4..], (uint)Flags);
    }
}

/// <summary>
/// A piece of a device's state (vfio-user protocol, "VFIO_USER_MIG_DATA_READ", "VFIO_USER_MIG_DATA_WRITE"). Data follow in a read's reply and in a write's
/// request.
/// </summary>
/// <param name="ArgumentSize">In a request the bytes that the reply may have, in a reply those of the payload.</param>
/// <param name="Size">Bytes of data.</param>
internal readonly record struct MigrationData(uint ArgumentSize, uint Size)
{
    /// <summary>Bytes before the data.</summary>
    public const int Length = 8;

    /// <summary>Reads the start of a payload; false when it is none.</summary>
    public static bool TryRead(ReadOnlySpan<byte> payload, out MigrationData data)
    {
        data = default;
        if (payload.Length < Length)
        {
            return false;
        }

        data = new MigrationData(BinaryPrimitives.ReadUInt32LittleEndian(payload), BinaryPrimitives.ReadUInt32LittleEndian(payload[4..]));
        return true;
    }

    /// <summary>Writes the first <see cref="Length"/> bytes.</summary>
    public void Write(Span<byte> payload)
    {
        BinaryPrimitives.WriteUInt32LittleEndian(payload, ArgumentSize);
        BinaryPrimitives.WriteUInt32LittleEndian(payload[4..], Size);
    }
}
