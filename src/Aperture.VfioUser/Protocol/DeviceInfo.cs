using System.Buffers.Binary;

namespace Aperture.VfioUser.Protocol;

/// <summary>VFIO_DEVICE_FLAGS_* (vfio-user protocol, "VFIO_USER_DEVICE_GET_INFO").</summary>
[Flags]
internal enum DeviceFlags : uint
{
    /// <summary>None.</summary>
    None = 0,

    /// <summary>VFIO_USER_DEVICE_RESET is supported.</summary>
    Reset = 1,

    /// <summary>A PCI function.</summary>
    Pci = 2,
}

/// <summary>What a device is, request and reply (vfio-user protocol, "VFIO_USER_DEVICE_GET_INFO"); all but the first are 0 in a request.</summary>
/// <param name="ArgumentSize">In a request the bytes that the reply may have, in a reply those that it needs.</param>
/// <param name="Flags">What it supports.</param>
/// <param name="Regions">How many regions there are.</param>
/// <param name="Irqs">How many kinds of interrupts there are.</param>
internal readonly record struct DeviceInfo(uint ArgumentSize, DeviceFlags Flags, uint Regions, uint Irqs)
{
    /// <summary>Bytes of the payload.</summary>
    public const int Length = 16;

    /// <summary>Reads a payload; false when it is none.</summary>
    public static bool TryRead(ReadOnlySpan<byte> payload, out DeviceInfo info)
    {
        info = default;
        if (payload.Length < Length)
        {
            return false;
        }

        info = new DeviceInfo(
            BinaryPrimitives.ReadUInt32LittleEndian(payload),
            (DeviceFlags)BinaryPrimitives.ReadUInt32LittleEndian(payload[4..]),
            BinaryPrimitives.ReadUInt32LittleEndian(payload[8..]),
            BinaryPrimitives.ReadUInt32LittleEndian(payload[12..]));
        return info.ArgumentSize >= Length;
    }

    /// <summary>Writes the payload's <see cref="Length"/> bytes.</summary>
    public void Write(Span<byte> payload)
    {
        BinaryPrimitives.WriteUInt32LittleEndian(payload, ArgumentSize);
        BinaryPrimitives.WriteUInt32LittleEndian(payload[4..], (uint)Flags);
        BinaryPrimitives.WriteUInt32LittleEndian(payload[8..], Regions);
        BinaryPrimitives.WriteUInt32LittleEndian(payload[12..], Irqs);
    }
}
