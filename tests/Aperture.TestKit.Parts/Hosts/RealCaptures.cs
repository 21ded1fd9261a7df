using Aperture.Host;
using Aperture.Host.Model;

namespace Aperture.TestKit.Parts.Hosts;

/// <summary>
/// Finds captures of real machines, which are not part of the project: in the folder that APERTURE_HOSTS names, or in <c>shared/hosts</c> in any folder above
/// the tests.
/// </summary>
public static class RealCaptures
{
    /// <summary>Reads one, or skips the test where it is not to be found.</summary>
    public static HostMachine Read(string file)
    {
        string? folder = Folders().FirstOrDefault(folder => File.Exists(Path.Join(folder, file)));
        Assert.SkipWhen(folder is null, $"there is no {file}: name its folder in APERTURE_HOSTS");
        return HostReader.Read(Path.Join(folder, file));
    }

    private static IEnumerable<string> Folders()
    {
        if (Environment.GetEnvironmentVariable("APERTURE_HOSTS") is { Length: > 0 } named)
        {
            yield return named;
        }

        for (DirectoryInfo? above = new(AppContext.BaseDirectory); above is not null; above = above.Parent)
        {
            yield return Path.Join(above.FullName, "shared", "hosts");
        }
    }
}
