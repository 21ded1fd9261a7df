namespace Aperture.Mediation.Nvme;

/// <summary>Offsets of a controller's registers in BAR 0 (NVM Express base specification 1.4, section 3.1).</summary>
internal static class NvmeRegisters
{
    /// <summary>Controller capabilities, 64 bits (section 3.1.1).</summary>
    public const uint Capabilities = 0x00;

    /// <summary>Version (section 3.1.2).</summary>
    public const uint Version = 0x08;

    /// <summary>Controller configuration (section 3.1.5).</summary>
    public const uint Configuration = 0x14;

    /// <summary>Controller status (section 3.1.6).</summary>
    public const uint Status = 0x1C;

    /// <summary>Admin queue attributes (section 3.1.8).</summary>
    public const uint AdminQueueAttributes = 0x24;

    /// <summary>Admin submission queue base address, 64 bits (section 3.1.9).</summary>
    public const uint AdminSubmissionQueue = 0x28;

    /// <summary>Admin completion queue base address, 64 bits (section 3.1.10).</summary>
    public const uint AdminCompletionQueue = 0x30;

    /// <summary>The first doorbell: of queue y the submission tail at 2y strides, the completion head at 2y + 1 (sections 3.1.24, 3.1.25).</summary>
    public const uint Doorbells = 0x1000;

    /// <summary>What the version register of a mediated controller reads as: 1.4.</summary>
    public const uint Version14 = 0x0001_0400;

    /// <summary>Bytes of a memory page with which every controller here works (CC.MPS 0).</summary>
    public const int Page = 4096;
}

/// <summary>CAP, controller capabilities (section 3.1.1).</summary>
/// <param name="Raw">The register.</param>
internal readonly record struct ControllerCapabilities(ulong Raw)
{
    private const ulong ContiguousQueues = 1UL << 16;
    private const ulong NvmCommandSet = 1UL << 37;

    /// <summary>MQES as a number: the most entries of an I/O queue.</summary>
    public int MostEntries => (int)(Raw & 0xFFFF) + 1;

    /// <summary>TO: milliseconds that CSTS.RDY may take to change.</summary>
    public int ReadyMilliseconds => (int)(Raw >> 24 & 0xFF) * 500;

    /// <summary>DSTRD: bytes from one doorbell to the next.</summary>
    public uint DoorbellStride => 4u << (int)(Raw >> 32 & 0xF);

    /// <summary>CSS: the controller has the NVM command set.</summary>
    public bool HasNvmCommandSet => (Raw & NvmCommandSet) != 0;

    /// <summary>MPSMIN: pages of 4 KiB are allowed.</summary>
    public bool HasSmallPages => (Raw >> 48 & 0xF) == 0;

    /// <summary>The capabilities of a mediated controller: contiguous queues, doorbells without gaps, 10 s to be ready, pages of 4 KiB.</summary>
    public static ControllerCapabilities Mediated(int mostEntries) =>
        new((ulong)(mostEntries - 1) | ContiguousQueues | 20UL << 24 | NvmCommandSet);
}

/// <summary>CC, controller configuration (section 3.1.5).</summary>
/// <param name="Raw">The register.</param>
internal readonly record struct ControllerConfiguration(uint Raw)
{
    /// <summary>EN with queue entries of 64 and 16 bytes and pages of 4 KiB.</summary>
    public static ControllerConfiguration On { get; } = new(1u | 6u << 16 | 4u << 20);

    /// <summary>SHN 01b: a normal shutdown is asked for.</summary>
    public const uint NormalShutdown = 1u << 14;

    /// <summary>EN.</summary>
    public bool IsEnabled => (Raw & 1) != 0;

    /// <summary>SHN is not 00b: the guest shuts the controller down.</summary>
    public bool IsShuttingDown => (Raw >> 14 & 3) != 0;

    /// <summary>CSS, MPS and AMS say what a mediated controller has: the NVM command set, pages of 4 KiB, round robin.</summary>
    public bool IsSupported => (Raw & 0x3FF0) == 0;

    /// <summary>IOSQES and IOCQES are those of the NVM command set, 64 and 16 bytes.</summary>
    public bool HasEntrySizes => (Raw >> 16 & 0xFF) == 0x46;
}

/// <summary>CSTS, controller status (section 3.1.6).</summary>
/// <param name="Raw">The register; all-ones when the function is gone.</param>
internal readonly record struct ControllerStatus(uint Raw)
{
    /// <summary>RDY.</summary>
    public const uint Ready = 1;

    /// <summary>CFS: a fatal error, which only a reset ends.</summary>
    public const uint Fatal = 2;

    /// <summary>SHST 10b: shutdown is complete.</summary>
    public const uint ShutdownComplete = 2u << 2;

    /// <summary>RDY.</summary>
    public bool IsReady => (Raw & Ready) != 0;

    /// <summary>CFS, or nobody answers.</summary>
    public bool IsFatal => (Raw & Fatal) != 0;

    /// <summary>SHST is 10b.</summary>
    public bool IsShutDown => (Raw >> 2 & 3) == 2;
}
