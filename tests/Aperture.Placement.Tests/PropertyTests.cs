using Aperture.Placement.Map;
using Aperture.Placement.Request;
using FsCheck.Fluent;

namespace Aperture.Placement.Tests;

public class PropertyTests
{
    private static void ForSeeds(int count, Action<int> holds) =>
        Prop.ForAll(Gen.Choose(0, int.MaxValue - 1).ToArbitrary(), holds).Holds(count);

    [Theory]
    [InlineData(Board.Q35)]
    [InlineData(Board.Virt)]
    public void Every_map_obeys_the_PCI_rules(Board board) => ForSeeds(1500, seed =>
    {
        PlacementRequest request = RandomRequests.Make(seed, board);
        PlacementResult result = PlacementSolver.Solve(request);
        Assert.NotEqual(result.Map is null, result.Conflicts.Count == 0);
        if (result.Map is not null)
        {
            LayoutChecker.Check(request, result.Map);
        }
        else
        {
            // Random demands may exceed a small window; nothing else can be wrong with them.
            Assert.All(result.Conflicts,
                conflict => Assert.True(conflict.Kind is PlacementConflictKind.NoSpace or PlacementConflictKind.NotFound, conflict.Sentence));
        }
    });

    [Theory]
    [InlineData(Board.Q35)]
    [InlineData(Board.Virt)]
    public void A_map_pinned_at_its_own_addresses_is_found_again(Board board) => ForSeeds(1000, seed =>
    {
        PlacementRequest request = RandomRequests.Make(seed, board);
        if (PlacementSolver.Solve(request).Map is { } map)
        {
            PlacementRequest pinned = RandomRequests.Pin(request, map, seed, chance: 1, astray: 0);
            PlacementMap again = Build.Map(pinned);
            foreach (FunctionPlacement function in map.Functions)
            {
                Assert.All(function.Bars, bar => Assert.Equal(bar.Address.Value, again.At(function.Name, bar.Demand.Index)));
            }
        }
    });

    [Theory]
    [InlineData(Board.Q35)]
    [InlineData(Board.Virt)]
    public void A_map_with_some_BARs_pinned_at_their_own_addresses_is_found_nearly_always_and_never_called_impossible(Board board)
    {
        int asked = 0;
        int missed = 0;
        ForSeeds(1500, seed =>
        {
            PlacementRequest request = RandomRequests.Make(seed, board);
            if (PlacementSolver.Solve(request).Map is not { } map)
            {
                return;
            }

            PlacementRequest pinned = RandomRequests.Pin(request, map, seed, chance: 0.4, astray: 0);
            PlacementResult result = PlacementSolver.Solve(pinned);
            asked++;
            if (result.Map is not null)
            {
                LayoutChecker.Check(pinned, result.Map);
                return;
            }

            missed++;
            Assert.All(result.Conflicts, conflict => Assert.True(conflict.Kind == PlacementConflictKind.NotFound, conflict.Sentence));
        });
        Assert.True(asked > 1000 && missed <= 5, $"{missed} of {asked} were missed");
    }

    [Theory]
    [InlineData(Board.Q35)]
    [InlineData(Board.Virt)]
    public void Astray_pins_give_a_legal_map_or_a_sentence_that_names_both_parties_and_places_that_fit(Board board) => ForSeeds(2500, seed =>
    {
        PlacementRequest request = RandomRequests.Make(seed, board);
        if (PlacementSolver.Solve(request).Map is not { } map)
        {
            return;
        }

        PlacementRequest pinned = RandomRequests.Pin(request, map, seed, chance: 0.5, astray: 0.4);
        PlacementResult result = PlacementSolver.Solve(pinned);
        if (result.Map is not null)
        {
            LayoutChecker.Check(pinned, result.Map);
            return;
        }

        foreach (PlacementConflict conflict in result.Conflicts)
        {
            Assert.Contains(conflict.Demand.Name, conflict.Sentence, StringComparison.Ordinal);
            Assert.NotNull(conflict.Obstacle);
            Assert.DoesNotContain('\n', conflict.Sentence);
            if (conflict.Obstacle.Function is not null || conflict.Kind == PlacementConflictKind.Overlap)
            {
                Assert.Contains(conflict.Obstacle.Name, conflict.Sentence, StringComparison.Ordinal);
            }

            Assert.All(Places(conflict), place => FitsInstead(pinned, conflict, place));
        }
    });

    [Theory]
    [InlineData(Board.Q35)]
    [InlineData(Board.Virt)]
    public void The_order_of_the_input_does_not_matter_and_runs_repeat(Board board) => ForSeeds(500, seed =>
    {
        PlacementRequest request = RandomRequests.Make(seed, board);
        if (PlacementSolver.Solve(request).Map is { } map)
        {
            request = RandomRequests.Pin(request, map, seed, chance: 0.3, astray: 0.1);
        }

        string first = Answer(PlacementSolver.Solve(request));
        Assert.Equal(first, Answer(PlacementSolver.Solve(request)));
        Assert.Equal(first, Answer(PlacementSolver.Solve(RandomRequests.Shuffle(request, seed))));
    });

    private static string Answer(PlacementResult result) =>
        result.Map is { } map ? PlacementMapText.Format(map) : string.Join('\n', result.Conflicts);

    private static IEnumerable<AddressRange> Places(PlacementConflict conflict)
    {
        if (conflict.NearestBelow is { } below)
        {
            yield return below;
        }

        if (conflict.NearestAbove is { } above)
        {
            yield return above;
        }
    }

    /// <summary>Moves the pin to the suggested place: the BAR must no longer be in any pin conflict as the one to blame.</summary>
    private static void FitsInstead(PlacementRequest request, PlacementConflict conflict, AddressRange place)
    {
        List<FunctionDemand> Functions(IReadOnlyList<FunctionDemand> functions) =>
        [
            .. functions.Select(function => function with
            {
                Bars = [.. function.Bars.Select(
                    bar => function.Name == conflict.Demand.Function && bar.Index == conflict.Demand.Bar ? bar with { Pin = place.Start } : bar)],
                Bridge = function.Bridge is { } bridge ? bridge with { Functions = Functions(bridge.Functions) } : null,
            }),
        ];
        PlacementRequest moved = request with { HostBridges = [.. request.HostBridges.Select(host => host with { Functions = Functions(host.Functions) })] };
        foreach (PlacementConflict after in PlacementSolver.Solve(moved).Conflicts)
        {
            Assert.False(
                after.Demand.Name == conflict.Demand.Name && after.Kind is not (PlacementConflictKind.NoSpace or PlacementConflictKind.NotFound),
                $"'{conflict.Sentence}' suggests {place}, but then: '{after.Sentence}'");
        }
    }
}
