using System.Buffers.Binary;

namespace Aperture.Mediation.Nvme;

/// <summary>Opcodes of admin commands (NVM Express base specification 1.4, figure 139).</summary>
internal enum AdminOpcode : byte
{
    /// <summary>Section 5.6.</summary>
    DeleteSubmissionQueue = 0x00,

    /// <summary>Section 5.4.</summary>
    CreateSubmissionQueue = 0x01,

    /// <summary>Section 5.14.</summary>
    GetLogPage = 0x02,

    /// <summary>Section 5.5.</summary>
    DeleteCompletionQueue = 0x04,

    /// <summary>Section 5.3.</summary>
    CreateCompletionQueue = 0x05,

    /// <summary>Section 5.15.</summary>
    Identify = 0x06,

    /// <summary>Section 5.1.</summary>
    Abort = 0x08,

    /// <summary>Section 5.21.</summary>
    SetFeatures = 0x09,

    /// <summary>Section 5.9.</summary>
    GetFeatures = 0x0A,

    /// <summary>Section 5.2.</summary>
    AsynchronousEventRequest = 0x0C,

    /// <summary>Section 5.7.</summary>
    DoorbellBufferConfig = 0x7C,
}

/// <summary>Opcodes of NVM commands (section 6).</summary>
internal enum IoOpcode : byte
{
    /// <summary>Section 6.8.</summary>
    Flush = 0x00,

    /// <summary>Section 6.15.</summary>
    Write = 0x01,

    /// <summary>Section 6.9.</summary>
    Read = 0x02,

    /// <summary>Section 6.17.</summary>
    WriteZeroes = 0x08,

    /// <summary>Section 6.7.</summary>
    DatasetManagement = 0x09,
}

/// <summary>A completion's status field without the phase tag (section 4.6.1): code, type, and bit 14, do not retry.</summary>
/// <param name="Value">15 bits.</param>
internal readonly record struct NvmeStatus(ushort Value)
{
    private const ushort DoNotRetry = 1 << 14;

    // Code, type and do not retry; what else a drive says (retry delay, more in its log) is about its own log.
    private const ushort Passed = DoNotRetry | 0x7FF;

    public static NvmeStatus Success { get; } = new(0x000);

    public static NvmeStatus InvalidOpcode { get; } = new(0x001 | DoNotRetry);

    public static NvmeStatus InvalidField { get; } = new(0x002 | DoNotRetry);

    public static NvmeStatus DataTransferError { get; } = new(0x004 | DoNotRetry);

    public static NvmeStatus InternalError { get; } = new(0x006 | DoNotRetry);

    public static NvmeStatus InvalidNamespace { get; } = new(0x00B | DoNotRetry);

    public static NvmeStatus InvalidPrpOffset { get; } = new(0x013 | DoNotRetry);

    public static NvmeStatus LbaOutOfRange { get; } = new(0x080 | DoNotRetry);

    public static NvmeStatus InvalidCompletionQueue { get; } = new(0x100 | DoNotRetry);

    public static NvmeStatus InvalidQueueIdentifier { get; } = new(0x101 | DoNotRetry);

    public static NvmeStatus InvalidQueueSize { get; } = new(0x102 | DoNotRetry);

    public static NvmeStatus TooManyEventRequests { get; } = new(0x105 | DoNotRetry);

    public static NvmeStatus InvalidInterruptVector { get; } = new(0x108 | DoNotRetry);

    public static NvmeStatus InvalidLogPage { get; } = new(0x109 | DoNotRetry);

    public static NvmeStatus InvalidQueueDeletion { get; } = new(0x10C | DoNotRetry);

    public static NvmeStatus FeatureNotSaveable { get; } = new(0x10D | DoNotRetry);

    public static NvmeStatus FeatureNotChangeable { get; } = new(0x10E | DoNotRetry);

    public bool IsSuccess => Value == 0;

    /// <summary>What of a drive's status its guest is told.</summary>
    public NvmeStatus ToGuest() => new((ushort)(Value & Passed));
}

/// <summary>A submission queue entry (section 4.2): 16 words, those that no command here has left out.</summary>
internal readonly record struct SubmissionEntry
{
    /// <summary>Bytes.</summary>
    public const int Length = 64;

    /// <summary>Bits 7:0 of word 0.</summary>
    public byte Opcode { get; init; }

    /// <summary>Bits 15:8 of word 0: FUSE in bits 1:0, PSDT in bits 7:6. Zero in every command that is carried out.</summary>
    public byte Flags { get; init; }

    /// <summary>CID.</summary>
    public ushort Id { get; init; }

    /// <summary>NSID.</summary>
    public uint Namespace { get; init; }

    /// <summary>PRP entry 1.</summary>
    public ulong Prp1 { get; init; }

    /// <summary>PRP entry 2.</summary>
    public ulong Prp2 { get; init; }

    /// <summary>Word 10.</summary>
    public uint Word10 { get; init; }

    /// <summary>Word 11.</summary>
    public uint Word11 { get; init; }

    /// <summary>Word 12.</summary>
    public uint Word12 { get; init; }

    /// <summary>Words 10 and 11 of an I/O command: the first block, SLBA.</summary>
    public ulong FirstBlock => (ulong)Word11 << 32 | Word10;

    /// <summary>Reads the words of <see cref="Length"/> bytes.</summary>
    public static SubmissionEntry Read(ReadOnlySpan<byte> bytes) => new()
    {
        Opcode = bytes[0],
        Flags = bytes[1],
        Id = BinaryPrimitives.ReadUInt16LittleEndian(bytes[2..]),
        Namespace = BinaryPrimitives.ReadUInt32LittleEndian(bytes[4..]),
        Prp1 = BinaryPrimitives.ReadUInt64LittleEndian(bytes[24..]),
        Prp2 = BinaryPrimitives.ReadUInt64LittleEndian(bytes[32..]),
        Word10 = BinaryPrimitives.ReadUInt32LittleEndian(bytes[40..]),
        Word11 = BinaryPrimitives.ReadUInt32LittleEndian(bytes[44..]),
        Word12 = BinaryPrimitives.ReadUInt32LittleEndian(bytes[48..]),
    };

    /// <summary>Writes <see cref="Length"/> bytes; words that are left out are zero.</summary>
    public void Write(Span<byte> bytes)
    {
        bytes[..Length].Clear();
        bytes[0] = Opcode;
        bytes[1] = Flags;
        BinaryPrimitives.WriteUInt16LittleEndian(bytes[2..], Id);
        BinaryPrimitives.WriteUInt32LittleEndian(bytes[4..], Namespace);
        BinaryPrimitives.WriteUInt64LittleEndian(bytes[24..], Prp1);
        BinaryPrimitives.WriteUInt64LittleEndian(bytes[32..], Prp2);
        BinaryPrimitives.WriteUInt32LittleEndian(bytes[40..], Word10);
        BinaryPrimitives.WriteUInt32LittleEndian(bytes[44..], Word11);
        BinaryPrimitives.WriteUInt32LittleEndian(bytes[48..], Word12);
    }
}

/// <summary>A completion queue entry (section 4.6) without its phase tag.</summary>
/// <param name="Result">Word 0.</param>
/// <param name="SubmissionHead">SQHD.</param>
/// <param name="SubmissionQueue">SQID.</param>
/// <param name="Id">CID.</param>
/// <param name="Status">The status.</param>
internal readonly record struct CompletionEntry(uint Result, ushort SubmissionHead, ushort SubmissionQueue, ushort Id, NvmeStatus Status)
{
    /// <summary>Bytes.</summary>
    public const int Length = 16;

    /// <summary>Words 0 and 1, little-endian.</summary>
    public ulong Low => Result;

    /// <summary>Words 2 and 3 with a phase tag.</summary>
    public ulong High(bool phase) =>
        SubmissionHead | (ulong)SubmissionQueue << 16 | (ulong)Id << 32 | (phase ? 1UL << 48 : 0) | (ulong)Status.Value << 49;

    /// <summary>The phase tag of words 2 and 3.</summary>
    public static bool PhaseOf(ulong high) => (high >> 48 & 1) != 0;

    /// <summary>The entry of its two halves.</summary>
    public static CompletionEntry Of(ulong low, ulong high) =>
        new((uint)low, (ushort)high, (ushort)(high >> 16), (ushort)(high >> 32), new NvmeStatus((ushort)(high >> 49)));
}
