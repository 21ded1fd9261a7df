namespace Aperture.Mediation.Mediators;

/// <summary>
/// The registers in BAR 0 of a partition function: 32 bits each, little-endian, accesses of any size. What is not listed reads as zero. docs/mediation.md says
/// the same to users.
/// </summary>
/// <remarks>
/// <code>
/// 0x00  RO  identification: the bytes 'A' 'P' 'P' 'T'
/// 0x04  RO  version, 1
/// 0x08  RO  bytes of a page, as a power of two
/// 0x0C  RO  pages of the window, BAR 2
/// 0x10  RO  pages that there are for all guests
/// 0x14  RO  pages that nobody has
/// 0x18  RO  pages that this guest has
/// 0x1C  RO  pages that were taken from this guest since its reset, low 32 bits
/// 0x20  RW  first page of the window that the doorbell is about
/// 0x24  RW  how many pages
/// 0x28  WO  doorbell (<see cref="PartitionCommand"/>): bits 7:0
/// 0x2C  RO  how the last command went: 0 well, 1 no such pages, 2 no such command
/// 0x30  RO  the page that was taken from this guest longest ago and that it was not told of yet; 0xFFFFFFFF when there is none. Reading it tells.
/// </code>
/// </remarks>
public static class PartitionRegisters
{
    /// <summary>Offset of the identification register.</summary>
    public const uint Identification = 0x00;

    /// <summary>What the identification register reads as: 'APPT' in memory order.</summary>
    public const uint Magic = 0x5450_5041;

    /// <summary>Offset of the version register.</summary>
    public const uint Version = 0x04;

    /// <summary>What the version register reads as.</summary>
    public const uint CurrentVersion = 1;

    /// <summary>Offset of the page's size, as a power of two.</summary>
    public const uint PageShift = 0x08;

    /// <summary>Offset of the window's pages.</summary>
    public const uint WindowPages = 0x0C;

    /// <summary>Offset of the number of all pages.</summary>
    public const uint AllPages = 0x10;

    /// <summary>Offset of the number of free pages.</summary>
    public const uint FreePages = 0x14;

    /// <summary>Offset of the number of pages that the guest has.</summary>
    public const uint HeldPages = 0x18;

    /// <summary>Offset of the number of pages that were taken away.</summary>
    public const uint TakenPages = 0x1C;

    /// <summary>Offset of the first page for the doorbell.</summary>
    public const uint First = 0x20;

    /// <summary>Offset of the number of pages for the doorbell.</summary>
    public const uint Count = 0x24;

    /// <summary>Offset of the doorbell.</summary>
    public const uint Doorbell = 0x28;

    /// <summary>Offset of the status.</summary>
    public const uint Status = 0x2C;

    /// <summary>Offset of the list of pages that were taken away.</summary>
    public const uint NextTaken = 0x30;
}

/// <summary>What the doorbell of a partition function is rung for.</summary>
public enum PartitionCommand : byte
{
    /// <summary>The guest wants pages of its window: each gets memory, of zeros, when it is first touched.</summary>
    Claim = 1,

    /// <summary>The guest gives pages up, with what is in them.</summary>
    GiveUp = 2,
}

/// <summary>How a command of the doorbell went.</summary>
public enum PartitionStatus : byte
{
    /// <summary>Well.</summary>
    Done = 0,

    /// <summary>The pages are not in the window.</summary>
    NoSuchPages = 1,

    /// <summary>There is no such command.</summary>
    NoSuchCommand = 2,
}
