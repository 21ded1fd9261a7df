namespace Aperture.Linux;

/// <summary>Advice about a mapping (madvise(2); asm-generic/mman-common.h).</summary>
public enum MemoryAdvice
{
    /// <summary>Give the pages and the file's storage behind them back; they read as zero afterwards (MADV_REMOVE).</summary>
    Remove = 9,

    /// <summary>Leave the range out of core dumps (MADV_DONTDUMP).</summary>
    DoNotDump = 16,
}
