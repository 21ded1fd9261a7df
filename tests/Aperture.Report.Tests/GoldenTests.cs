using Aperture.Placement.Map;
using Aperture.Placement.Reasons;

namespace Aperture.Report.Tests;

/// <summary>The formats of one small map, to the byte: what scripts read must not change by accident.</summary>
public class GoldenTests
{
    [Theory]
    [InlineData("map.table.txt")]
    [InlineData("map.tree.txt")]
    [InlineData("map.json")]
    [InlineData("map.svg")]
    [InlineData("conflicts.json")]
    public void A_format_changes_only_on_purpose(string name)
    {
        string expected = File.ReadAllText(Path.Combine(AppContext.BaseDirectory, "Golden", name));
        string actual = Render(name);
        if (expected != actual && Environment.GetEnvironmentVariable("APERTURE_WRITE_GOLDEN") is { Length: > 0 } folder)
        {
            File.WriteAllText(Path.Combine(folder, name), actual);
        }

        Assert.True(expected == actual, $"{name} is now:\n{actual}");
    }

    private static string Render(string name) => name switch
    {
        "map.table.txt" => TableRenderer.Render(Samples.HandMade()),
        "map.tree.txt" => TreeRenderer.Render(Samples.HandMade()),
        "map.json" => JsonRenderer.Render(Samples.HandMade()),
        "map.svg" => SvgRenderer.Render(Samples.HandMade()),
        _ => JsonRenderer.RenderConflicts(Samples.HandMade().Request, [Conflict()], "as given"),
    };

    private static PlacementConflict Conflict() => new(
        PlacementConflictKind.AboveAddressBits,
        new ConflictParty("gpu0 bar2", Samples.Range(0x6B80_0000_0000, 64 * Samples.G)) { Function = "gpu0", Bar = 2 },
        "gpu0 bar2 does not fit")
    {
        Obstacle = new ConflictParty("46 address bits"),
        NearestBelow = Samples.Range(0x3FF0_0000_0000, 64 * Samples.G),
        Remedy = new Remedy(RemedyKind.WiderAddress, "47 address bits") { Value = 47 },
    };
}
