using System.Buffers.Binary;

namespace Aperture.VfioUser.Protocol;

/// <summary>What a message is about (vfio-user protocol, "Commands").</summary>
internal enum VfioUserCommand : ushort
{
    /// <summary>VFIO_USER_VERSION.</summary>
    Version = 1,

    /// <summary>VFIO_USER_DMA_MAP.</summary>
    DmaMap = 2,

    /// <summary>VFIO_USER_DMA_UNMAP.</summary>
    DmaUnmap = 3,

    /// <summary>VFIO_USER_DEVICE_GET_INFO.</summary>
    DeviceGetInfo = 4,

    /// <summary>VFIO_USER_DEVICE_GET_REGION_INFO.</summary>
    DeviceGetRegionInfo = 5,

    /// <summary>VFIO_USER_DEVICE_GET_REGION_IO_FDS.</summary>
    DeviceGetRegionIoFds = 6,

    /// <summary>VFIO_USER_DEVICE_GET_IRQ_INFO.</summary>
    DeviceGetIrqInfo = 7,

    /// <summary>VFIO_USER_DEVICE_SET_IRQS.</summary>
    DeviceSetIrqs = 8,

    /// <summary>VFIO_USER_REGION_READ.</summary>
    RegionRead = 9,

    /// <summary>VFIO_USER_REGION_WRITE.</summary>
    RegionWrite = 10,

    /// <summary>VFIO_USER_DMA_READ, from server to client.</summary>
    DmaRead = 11,

    /// <summary>VFIO_USER_DMA_WRITE, from server to client.</summary>
    DmaWrite = 12,

    /// <summary>VFIO_USER_DEVICE_RESET.</summary>
    DeviceReset = 13,

    /// <summary>VFIO_USER_REGION_WRITE_MULTI.</summary>
    RegionWriteMulti = 15,

    /// <summary>VFIO_USER_DEVICE_FEATURE.</summary>
    DeviceFeature = 16,

    /// <summary>VFIO_USER_MIG_DATA_READ.</summary>
    MigrationDataRead = 17,

    /// <summary>VFIO_USER_MIG_DATA_WRITE.</summary>
    MigrationDataWrite = 18,

    /// <summary>Of the extension in docs/vfio-user.md: a page was touched, from client to server.</summary>
    Fault = 0x4101,

    /// <summary>Of the same extension: pages are taken back, from server to client.</summary>
    Revoke = 0x4102,
}

/// <summary>The flags of a message (vfio-user protocol, "Header"). The low four bits are its type.</summary>
[Flags]
internal enum MessageFlags : uint
{
    /// <summary>A command that is to be answered.</summary>
    Command = 0,

    /// <summary>A reply.</summary>
    Reply = 1,

    /// <summary>The bits of the type.</summary>
    TypeMask = 0xF,

    /// <summary>A command that is not to be answered.</summary>
    NoReply = 0x10,

    /// <summary>A reply that says that the command failed.</summary>
    Error = 0x20,
}

/// <summary>The first 16 bytes of every message (vfio-user protocol, "Header").</summary>
/// <param name="Id">The sender's number of the command; its reply repeats it.</param>
/// <param name="Command">What it is about; may be a value that nobody defined.</param>
/// <param name="Size">Bytes of the whole message, header included.</param>
/// <param name="Flags">Its type and attributes.</param>
/// <param name="Errno">Of a reply with <see cref="MessageFlags.Error"/>: why, or 0 when that is not told.</param>
internal readonly record struct MessageHeader(ushort Id, VfioUserCommand Command, uint Size, MessageFlags Flags, uint Errno)
{
    /// <summary>Bytes of a header.</summary>
    public const int Length = 16;

    /// <summary>True for a reply.</summary>
    public bool IsReply => (Flags & MessageFlags.TypeMask) == MessageFlags.Reply;

    /// <summary>True for a command.</summary>
    public bool IsCommand => (Flags & MessageFlags.TypeMask) == MessageFlags.Command;

    /// <summary>True when the sender waits for an answer.</summary>
    public bool WantsReply => IsCommand && (Flags & MessageFlags.NoReply) == 0;

    /// <summary>The header of a command with a payload of <paramref name="payload"/> bytes.</summary>
    public static MessageHeader ForCommand(ushort id, VfioUserCommand command, int payload, bool posted = false) =>
        new(id, command, (uint)(Length + payload), posted ? MessageFlags.NoReply : MessageFlags.Command, 0);

    /// <summary>The header of this command's reply with a payload of <paramref name="payload"/> bytes.</summary>
    public MessageHeader Answer(int payload) => new(Id, Command, (uint)(Length + payload), MessageFlags.Reply, 0);

    /// <summary>The header that is the whole of this command's reply when it failed.</summary>
    public MessageHeader Failure(int errno) => new(Id, Command, Length, MessageFlags.Reply | MessageFlags.Error, (uint)errno);

    /// <summary>Reads a header from at least <see cref="Length"/> bytes.</summary>
    public static MessageHeader Read(ReadOnlySpan<byte> bytes) => new(
        BinaryPrimitives.ReadUInt16LittleEndian(bytes),
        (VfioUserCommand)BinaryPrimitives.ReadUInt16LittleEndian(bytes[2..]),
        BinaryPrimitives.ReadUInt32LittleEndian(bytes[4..]),
        (MessageFlags)BinaryPrimitives.ReadUInt32LittleEndian(bytes[8..]),
        BinaryPrimitives.ReadUInt32LittleEndian(bytes[12..]));

    /// <summary>Writes the header's <see cref="Length"/> bytes.</summary>
    public void Write(Span<byte> bytes)
    {
        BinaryPrimitives.WriteUInt16LittleEndian(bytes, Id);
        BinaryPrimitives.WriteUInt16LittleEndian(bytes[2..], (ushort)Command);
        BinaryPrimitives.WriteUInt32LittleEndian(bytes[4..], Size);
        BinaryPrimitives.WriteUInt32LittleEndian(bytes[8..], (uint)Flags);
        BinaryPrimitives.WriteUInt32LittleEndian(bytes[12..], Errno);
    }
}
