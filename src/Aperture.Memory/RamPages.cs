namespace Aperture.Memory;

/// <summary>The pages that back a <see cref="RamBlock"/>.</summary>
public enum RamPages : byte
{
    /// <summary>The host's ordinary pages, taken when they are touched.</summary>
    Ordinary,

    /// <summary>Reserved 2 MiB huge pages (hugetlbfs).</summary>
    Huge2M,

    /// <summary>Reserved 1 GiB huge pages (hugetlbfs).</summary>
    Huge1G,
}

/// <summary>Numbers that go with <see cref="RamPages"/>.</summary>
public static class RamPagesExtensions
{
    /// <summary>The page size in bytes; 4 KiB for ordinary pages, which is also the granule of a memory slot.</summary>
    public static ulong PageSize(this RamPages pages) => 1UL << pages.PageBits();

    internal static int PageBits(this RamPages pages) => pages switch
    {
        RamPages.Huge2M => 21,
        RamPages.Huge1G => 30,
        _ => 12,
    };
}
