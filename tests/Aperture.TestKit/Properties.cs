using System.Globalization;
using FsCheck;

namespace Aperture.TestKit;

/// <summary>
/// How property tests run: the same cases every time, so that a run of the suite says something about the change and not about luck.
/// APERTURE_PROPERTY_SEED=random draws new cases, a number draws those of another seed; a failure prints the seed that shows it.
/// </summary>
public static class Properties
{
    private const ulong DefaultSeed = 20_231_117;

    /// <summary>Checks <paramref name="property"/> with <paramref name="count"/> cases and throws at the first that breaks it.</summary>
    public static void Holds(this Property property, int count = 100) => property.Check(Configuration(count));

    private static Config Configuration(int count)
    {
        Config config = Config.QuickThrowOnFailure.WithMaxTest(count);
        return Environment.GetEnvironmentVariable("APERTURE_PROPERTY_SEED") switch
        {
            null or "" => config.WithReplay(DefaultSeed, 1),
            "random" => config,
            { } seed => config.WithReplay(ulong.Parse(seed, CultureInfo.InvariantCulture), 1),
        };
    }
}
