using System.Buffers.Binary;
using System.Numerics;

namespace Aperture.VfioUser.Protocol;

/// <summary>VFIO_IRQ_INFO_* (vfio-user protocol, "VFIO_USER_DEVICE_GET_IRQ_INFO").</summary>
[Flags]
internal enum IrqFlags : uint
{
    /// <summary>None.</summary>
    None = 0,

    /// <summary>Eventfds can be tied to it.</summary>
    EventFd = 1,

    /// <summary>It can be masked and unmasked.</summary>
    Maskable = 2,

    /// <summary>It masks itself when it fires.</summary>
    AutoMasked = 4,

    /// <summary>More vectors need all to be disabled first.</summary>
    NoResize = 8,
}

/// <summary>What a kind of interrupt is, request and reply (vfio-user protocol, "VFIO_USER_DEVICE_GET_IRQ_INFO").</summary>
/// <param name="ArgumentSize">In a request the bytes that the reply may have, in a reply those that it needs.</param>
/// <param name="Flags">What can be done with it.</param>
/// <param name="Index">Its number.</param>
/// <param name="Count">How many vectors it has.</param>
internal readonly record struct IrqInfo(uint ArgumentSize, IrqFlags Flags, uint Index, uint Count)
{
    /// <summary>Bytes of the payload.</summary>
    public const int Length = 16;

    /// <summary>Reads a payload; false when it is none.</summary>
    public static bool TryRead(ReadOnlySpan<byte> payload, out IrqInfo info)
    {
        info = default;
        if (payload.Length < Length)
        {
            return false;
        }

        info = new IrqInfo(
            BinaryPrimitives.ReadUInt32LittleEndian(payload),
            (IrqFlags)BinaryPrimitives.ReadUInt32LittleEndian(payload[4..]),
            BinaryPrimitives.ReadUInt32LittleEndian(payload[8..]),
            BinaryPrimitives.ReadUInt32LittleEndian(payload[12..]));
        return info.ArgumentSize >= Length;
    }

    /// <summary>Writes the payload's <see cref="Length"/> bytes.</summary>
    public void Write(Span<byte> payload)
    {
        BinaryPrimitives.WriteUInt32LittleEndian(payload, ArgumentSize);
        BinaryPrimitives.WriteUInt32LittleEndian(payload[4..], (uint)Flags);
        BinaryPrimitives.WriteUInt32LittleEndian(payload[8..], Index);
        BinaryPrimitives.WriteUInt32LittleEndian(payload[12..], Count);
    }
}

/// <summary>VFIO_IRQ_SET_* (vfio-user protocol, "VFIO_USER_DEVICE_SET_IRQS"): one kind of data and one action.</summary>
[Flags]
internal enum SetIrqsFlags : uint
{
    /// <summary>Nothing, which is no request.</summary>
    None = 0,

    /// <summary>No data: for every vector.</summary>
    DataNone = 1,

    /// <summary>A byte a vector: for those whose byte is not 0.</summary>
    DataBool = 2,

    /// <summary>A descriptor a vector, or none to untie them all.</summary>
    DataEventFd = 4,

    /// <summary>Mask.</summary>
    Mask = 8,

    /// <summary>Unmask.</summary>
    Unmask = 0x10,

    /// <summary>Trigger.</summary>
    Trigger = 0x20,

    /// <summary>The bits of the data.</summary>
    DataMask = DataNone | DataBool | DataEventFd,

    /// <summary>The bits of the action.</summary>
    ActionMask = Mask | Unmask | Trigger,
}

/// <summary>
/// What becomes of vectors (vfio-user protocol, "VFIO_USER_DEVICE_SET_IRQS"). Booleans follow when the flags say so; the reply has no payload.
/// </summary>
/// <param name="ArgumentSize">Bytes of the payload, booleans included.</param>
/// <param name="Flags">The data and the action.</param>
/// <param name="Index">The kind of interrupt.</param>
/// <param name="Start">The first vector.</param>
/// <param name="Count">How many; 0 with no data and <see cref="SetIrqsFlags.Trigger"/> disables the kind.</param>
internal readonly record struct SetIrqsRequest(uint ArgumentSize, SetIrqsFlags Flags, uint Index, uint Start, uint Count)
{
    /// <summary>Bytes before the booleans.</summary>
    public const int Length = 20;

    /// <summary>The data's kind alone.</summary>
    public SetIrqsFlags Data => Flags & SetIrqsFlags.DataMask;

    /// <summary>The action alone.</summary>
    public SetIrqsFlags Action => Flags & SetIrqsFlags.ActionMask;

    /// <summary>Reads a payload; false when it is none: also when it has not exactly one kind of data and one action, or not the booleans it should.</summary>
    public static bool TryRead(ReadOnlySpan<byte> payload, out SetIrqsRequest request)
    {
        request = default;
        if (payload.Length < Length)
        {
            return false;
        }

        request = new SetIrqsRequest(
            BinaryPrimitives.ReadUInt32LittleEndian(payload),
            (SetIrqsFlags)BinaryPrimitives.ReadUInt32LittleEndian(payload[4..]),
            BinaryPrimitives.ReadUInt32LittleEndian(payload[8..]),
            BinaryPrimitives.ReadUInt32LittleEndian(payload[12..]),
            BinaryPrimitives.ReadUInt32LittleEndian(payload[16..]));
        return request.ArgumentSize >= Length
            && BitOperations.IsPow2((uint)request.Data)
            && BitOperations.IsPow2((uint)request.Action)
            && (request.Flags & ~(SetIrqsFlags.DataMask | SetIrqsFlags.ActionMask)) == 0
            && (request.Data != SetIrqsFlags.DataBool || (uint)(payload.Length - Length) == request.Count);
    }

    /// <summary>Writes the first <see cref="Length"/> bytes.</summary>
    public void Write(Span<byte> payload)
    {
        BinaryPrimitives.WriteUInt32LittleEndian(payload, ArgumentSize);
        BinaryPrimitives.WriteUInt32LittleEndian(payload[4..], (uint)Flags);
        BinaryPrimitives.WriteUInt32LittleEndian(payload[8..], Index);
        BinaryPrimitives.WriteUInt32LittleEndian(payload[12..], Start);
        BinaryPrimitives.WriteUInt32LittleEndian(payload[16..], Count);
    }
}
