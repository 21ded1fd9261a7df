using Aperture.Placement.Map;
using Aperture.Placement.Reasons;
using Aperture.Placement.Request;
using FsCheck.Fluent;

namespace Aperture.Placement.Tests;

public class WidePropertyTests
{
    private static void ForSeeds(int count, Action<int> holds) =>
        Prop.ForAll(Gen.Choose(0, int.MaxValue - 1).ToArbitrary(), holds).Holds(count);

    [Theory]
    [InlineData(Board.Q35)]
    [InlineData(Board.Virt)]
    public void Every_map_obeys_the_PCI_rules_whatever_is_asked(Board board)
    {
        int solved = 0;
        ForSeeds(1500, seed =>
        {
            PlacementRequest request = WideRequests.Make(seed, board);
            PlacementResult result = PlacementSolver.Solve(request);
            Assert.NotEqual(result.Map is null, result.Conflicts.Count == 0);
            if (result.Map is not null)
            {
                solved++;
                LayoutChecker.Check(request, result.Map);
            }
        });
        Assert.True(solved > 700, $"only {solved} of 1500 were solved");
    }

    [Theory]
    [InlineData(Board.Q35)]
    [InlineData(Board.Virt)]
    public void A_map_pinned_at_its_own_BARs_windows_and_buses_is_found_again(Board board)
    {
        int asked = 0;
        int missed = 0;
        ForSeeds(700, seed =>
        {
            PlacementRequest request = WideRequests.Make(seed, board);
            if (PlacementSolver.Solve(request).Map is not { } map)
            {
                return;
            }

            PlacementRequest pinned = WideRequests.PinBridges(RandomRequests.Pin(request, map, seed, chance: 1, astray: 0), map, seed, chance: 0.5);
            PlacementResult result = PlacementSolver.Solve(pinned);
            asked++;
            if (result.Map is null)
            {
                // Low RAM grows back to where nothing is pinned, and a reserve that lies nowhere may then miss its room.
                missed++;
                return;
            }

            LayoutChecker.Check(pinned, result.Map);
        });
        Assert.True(asked > 300 && missed * 50 <= asked, $"{missed} of {asked} were missed");
    }

    [Theory]
    [InlineData(Board.Q35)]
    [InlineData(Board.Virt)]
    public void Partly_pinned_maps_are_legal_or_refused_in_sentences_and_remedies_resolve(Board board) => ForSeeds(400, seed =>
    {
        PlacementRequest request = WideRequests.Make(seed, board);
        if (PlacementSolver.Solve(request).Map is not { } map)
        {
            return;
        }

        PlacementRequest pinned = WideRequests.PinBridges(RandomRequests.Pin(request, map, seed, chance: 0.3, astray: 0.3), map, seed, chance: 0.1);
        PlacementResult result = PlacementSolver.Solve(pinned);
        if (result.Map is not null)
        {
            LayoutChecker.Check(pinned, result.Map);
            return;
        }

        foreach (PlacementConflict conflict in result.Conflicts)
        {
            Assert.Contains(conflict.Demand.Name, conflict.Sentence, StringComparison.Ordinal);
            Assert.DoesNotContain('\n', conflict.Sentence);
            if (conflict.Remedy is { } remedy)
            {
                PlacementResult after = PlacementSolver.Solve(pinned.Apply(remedy));
                Assert.True(after.Map is not null || after.Conflicts.All(other => other.Demand.Name != conflict.Demand.Name),
                    $"{conflict.Sentence}: {remedy.Text} does not resolve it");
            }
        }
    });

    [Theory]
    [InlineData(Board.Q35)]
    [InlineData(Board.Virt)]
    public void The_order_of_the_input_does_not_matter_and_runs_repeat(Board board) => ForSeeds(200, seed =>
    {
        PlacementRequest request = WideRequests.Make(seed, board);
        string first = Answer(PlacementSolver.Solve(request));
        Assert.Equal(first, Answer(PlacementSolver.Solve(request)));
        Assert.Equal(first, Answer(PlacementSolver.Solve(RandomRequests.Shuffle(request, seed))));
    });

    [Theory]
    [InlineData(Board.Q35)]
    [InlineData(Board.Virt)]
    public void Every_BAR_can_be_explained(Board board) => ForSeeds(200, seed =>
    {
        if (PlacementSolver.Solve(WideRequests.Make(seed, board)).Map is not { } map)
        {
            return;
        }

        foreach (FunctionPlacement function in map.Functions)
        {
            foreach (BarPlacement bar in function.Bars)
            {
                Assert.True(PlacementExplainer.TryExplain(map, function.Name, bar.Demand.Index, out IReadOnlyList<string>? lines));
                Assert.Contains(bar.Range.ToString(), lines[0], StringComparison.Ordinal);
                Assert.Contains(lines, line => line.StartsWith("window: pcie.", StringComparison.Ordinal));
            }
        }
    });

    private static string Answer(PlacementResult result) =>
        result.Map is { } map ? PlacementMapText.Format(map) : string.Join('\n', result.Conflicts);
}
