using System.Globalization;
using Aperture.Linux;

namespace Aperture.TestKit;

/// <summary>
/// Where the temporary files of one test process are: in one folder, which goes with the process whatever its tests did; where it is killed, with the next.
/// </summary>
internal static class TestScratch
{
    private static readonly ScratchFolder Folder = Make();
    private static int _made;

    /// <summary>A path that nothing had before, ending in <paramref name="name"/>.</summary>
    public static string Next(string name) =>
        Path.Combine(Folder.Path, string.Create(CultureInfo.InvariantCulture, $"{Interlocked.Increment(ref _made)}{name}"));

    private static ScratchFolder Make()
    {
        ScratchFolder folder = new("aperture-test-");
        AppDomain.CurrentDomain.ProcessExit += (_, _) => folder.Dispose();
        return folder;
    }
}
