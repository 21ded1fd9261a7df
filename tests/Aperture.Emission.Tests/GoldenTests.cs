namespace Aperture.Emission.Tests;

/// <summary>Every format of one plan that has something of everything, to the byte.</summary>
public class GoldenTests
{
    public static TheoryData<string> Monitors => [.. Emitter.Names];

    [Theory]
    [MemberData(nameof(Monitors))]
    public void A_configuration_changes_only_on_purpose(string monitor)
    {
        string name = $"{monitor}.txt";
        string path = Path.Combine(AppContext.BaseDirectory, "Golden", name);
        string expected = File.Exists(path) ? File.ReadAllText(path) : "";
        string actual = Emitter.Emit(monitor, Samples.Everything());
        if (expected != actual && Environment.GetEnvironmentVariable("APERTURE_WRITE_GOLDEN") is { Length: > 0 } folder)
        {
            File.WriteAllText(Path.Combine(folder, name), actual);
        }

        Assert.True(expected == actual, $"{name} is now:\n{actual}");
    }

    [Fact]
    public void An_unknown_monitor_is_refused_with_the_names_of_the_known_ones()
    {
        ApertureException refused = Assert.Throws<ApertureException>(() => Emitter.Emit("bochs", Samples.ForQemu()));
        Assert.All(Emitter.Names, name => Assert.Contains(name, refused.Message));
    }
}
