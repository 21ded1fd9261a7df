namespace Aperture.Linux;

/// <summary>Advice about a mapping (madvise(2); asm-generic/mman-common.h).</summary>
public enum MemoryAdvice
{
    /// <summary>Give the range's pages back now; who touches them later finds zeros (MADV_DONTNEED).</summary>
    DontNeed = 4,

    /// <summary>Give the pages of a shared file back, for all who map them; who touches them later finds zeros (MADV_REMOVE).</summary>
    Remove = 9,

    /// <summary>Leave the range out of the processes that this one starts (MADV_DONTFORK).</summary>
    DoNotFork = 10,

    /// <summary>Back the range with huge pages wherever a whole one fits and can be had (MADV_HUGEPAGE).</summary>
    HugePage = 14,

    /// <summary>Leave the range out of core dumps (MADV_DONTDUMP).</summary>
    DoNotDump = 16,

    /// <summary>Take all of the range's pages now, for writing, as if each were touched (MADV_POPULATE_WRITE, since Linux 5.14; EINVAL before).</summary>
    PopulateWrite = 23,
}
