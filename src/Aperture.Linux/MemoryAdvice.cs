namespace Aperture.Linux;

/// <summary>Advice about a mapping (madvise(2); asm-generic/mman-common.h).</summary>
public enum MemoryAdvice
{
    /// <summary>Leave the range out of core dumps (MADV_DONTDUMP).</summary>
    DoNotDump = 16,
}
