using Aperture.Memory.Faulting;
using FsCheck;
using FsCheck.Fluent;

namespace Aperture.Memory.Tests.Faulting;

public class GrantRunsTests
{
    private const int Pages = 24;
    private const ulong Page = FaultingMemory.Page;

    [Fact]
    public void Runs_say_of_every_page_what_a_table_of_pages_says()
    {
        Gen<(int, int, int)[]> steps = Gen.ArrayOf(
            from what in Gen.Choose(0, 3)
            from first in Gen.Choose(0, Pages - 1)
            from last in Gen.Choose(first, Math.Min(first + 6, Pages - 1))
            select (what, first, last));
        Prop.ForAll(steps.ToArbitrary(), Agree).Holds(500);
    }

    [Fact]
    public void What_goes_on_in_the_same_source_is_one_run_and_what_does_not_is_another()
    {
        GrantRuns runs = new();
        runs.Add(Granted(2, 1, source: 7, at: 12));
        runs.Add(Granted(0, 1, source: 7, at: 10));
        runs.Add(Granted(1, 1, source: 7, at: 11));
        runs.Add(Granted(3, 1, source: 8, at: 13));
        runs.Add(Granted(4, 1, source: 8, at: 15));
        Assert.Equal([Granted(0, 3, 7, 10), Granted(3, 1, 8, 13), Granted(4, 1, 8, 15)], runs.ToArray());
        Assert.Equal(Granted(0, 3, 7, 10), runs.Oldest());
        Assert.True(runs.Remove(Page, Page, out ulong first, out ulong end));
        Assert.Equal((Page, 2 * Page), (first, end));
        Assert.Equal([Granted(0, 1, 7, 10), Granted(2, 1, 7, 12)], runs.ToArray()[..2]);
    }

    private static GrantRun Granted(int page, int pages, ulong source, int at) =>
        new((ulong)page * Page, (ulong)pages * Page, GrantRunKind.Granted, source, (ulong)at * Page, true);

    // The table: of each page its source's number and the page of the source; 0 for none.
    private static void Agree((int What, int First, int Last)[] steps)
    {
        GrantRuns runs = new();
        (ulong Source, int At)[] table = new (ulong, int)[Pages];
        foreach ((int what, int first, int last) in steps)
        {
            ulong offset = (ulong)first * Page;
            ulong size = (ulong)(last - first + 1) * Page;
            bool some = table[first..(last + 1)].Any(static each => each.Source != 0);
            Assert.Equal(some, runs.Remove(offset, size, out ulong from, out ulong to));
            if (some)
            {
                int[] there = [.. Enumerable.Range(first, last - first + 1).Where(page => table[page].Source != 0)];
                Assert.Equal(((ulong)there[0] * Page, (ulong)(there[^1] + 1) * Page), (from, to));
            }

            for (int page = first; page <= last; page++)
            {
                table[page] = what == 0 ? default : ((ulong)what, what == 1 ? page : page - first);
            }

            if (what != 0)
            {
                runs.Add(Granted(first, last - first + 1, (ulong)what, what == 1 ? first : 0));
            }

            Check(runs, table);
        }
    }

    private static void Check(GrantRuns runs, (ulong Source, int At)[] table)
    {
        (ulong Source, int At)[] told = new (ulong, int)[Pages];
        ulong end = 0;
        foreach (GrantRun run in runs.ToArray())
        {
            Assert.True(run.Offset >= end);
            end = run.Offset + run.Size;
            for (ulong at = 0; at < run.Size; at += Page)
            {
                told[(run.Offset + at) / Page] = (run.Source, (int)((run.SourceOffset + at) / Page));
            }
        }

        Assert.Equal(table, told);
        Assert.Equal((ulong)table.Count(static each => each.Source != 0) * Page, runs.Bytes);
        for (int page = 0; page < Pages; page++)
        {
            Assert.Equal(table[page].Source != 0, runs.Has(((ulong)page * Page) + 5));
        }
    }
}
