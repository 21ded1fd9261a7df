namespace Aperture.VfioUser.Tests;

/// <summary>Tests that count what this process has open: no other runs beside them.</summary>
[CollectionDefinition(nameof(Alone), DisableParallelization = true)]
public sealed class Alone
{
    /// <summary>
    /// Runs <paramref name="body"/>, once to have everything made that is made once, and then again: nothing of it may stay open or mapped.
    /// <paramref name="mark"/> is in the names of the files that it maps.
    /// </summary>
    internal static void LeavesNothing(string mark, Action body)
    {
        body();
        Settle();
        List<string> before = Open();
        body();

        // What a session's thread closes it closes in its own time.
        Assert.True(
            SpinWait.SpinUntil(() => Settle() && Open().Count <= before.Count && Mapped(mark) == 0, 20_000),
            $"{Mapped(mark)} mappings of {mark} left; open before: {string.Join(' ', before)}; after: {string.Join(' ', Open())}");
    }

    // What is open, but for files of disks: the runtime opens its own when it needs them.
    private static List<string> Open() =>
    [
        .. new DirectoryInfo("/proc/self/fd").GetFileSystemInfos()
            .Select(static f => f.LinkTarget ?? "")
            .Where(static target => !target.StartsWith('/') || target.StartsWith("/memfd:", StringComparison.Ordinal))
            .Order(StringComparer.Ordinal),
    ];

    // How often a memory file of that name is mapped.
    private static int Mapped(string mark) => File.ReadLines("/proc/self/maps").Count(line => line.Contains($"memfd:{mark}", StringComparison.Ordinal));

    private static bool Settle()
    {
        GC.Collect();
        GC.WaitForPendingFinalizers();
        return true;
    }
}
