using System.Globalization;
using Aperture.Linux;

namespace Aperture.Memory;

/// <summary>What the host says about its reserved huge pages (Documentation/admin-guide/mm/hugetlbpage.rst).</summary>
internal static class HugePages
{
    /// <summary>The sentence for a block that could not be made of huge pages: how many it needs, how many are free, how to reserve them.</summary>
    internal static ApertureException Failure(string name, ulong size, RamPages pages, int errno)
    {
        ulong page = pages.PageSize();
        ulong needed = size / page + (size % page == 0 ? 0UL : 1UL);
        ulong kilobytes = page / 1024;
        string folder = $"/sys/kernel/mm/hugepages/hugepages-{kilobytes}kB";
        string free = FreePages(folder) is { } count ? count.ToString(CultureInfo.InvariantCulture) : "no";
        return new ApertureException(
            $"{name}: {ByteSize.Format(size)} needs {needed} huge pages of {ByteSize.Format(page)} and the host has {free} free ({MemoryMap.Describe(errno)}); "
            + $"reserve them with: echo {needed} > {folder}/nr_hugepages");
    }

    private static ulong? FreePages(string folder)
    {
        try
        {
            string text = File.ReadAllText(folder + "/free_hugepages").Trim();
            return ulong.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out ulong count) ? count : null;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return null;
        }
    }
}
