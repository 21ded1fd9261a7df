using Aperture.Memory;
using FsCheck;
using FsCheck.Fluent;

namespace Aperture.Mediation.Tests;

/// <summary>The book of grants and the ledger against models that know single pages.</summary>
public class BookModelTests
{
    private const ulong Page = GrantBook.Page;
    private const int Pages = 24;

    private static readonly GrantSource[] Sources = [.. Enumerable.Range(0, 2).Select(static i => RamBlock.Create($"book{i}", 64 * Page, shared: true))];

    /// <summary>A grant or a revocation; few places, so that they meet.</summary>
    public sealed record Step(bool IsGrant, int Bar, int First, int Count, int Source, int SourcePage, bool ReadOnly, bool Shared, int Guest)
    {
        public Grant Grant => new(
            Bar, (ulong)First * Page, (ulong)Count * Page, Sources[Source], (ulong)SourcePage * Page,
            ReadOnly ? GrantProtection.Read : GrantProtection.ReadWrite, Shared);
    }

    [Fact]
    public void The_book_is_what_a_table_of_single_pages_says() => Prop.ForAll(Steps().ToArbitrary(), steps =>
    {
        GrantBook book = new();
        Dictionary<(int Bar, int Page), (int Source, int SourcePage, bool ReadOnly, bool Shared)> model = [];
        foreach (Step step in steps)
        {
            (int Bar, int Page)[] pages = [.. Enumerable.Range(step.First, step.Count).Select(p => (step.Bar, p))];
            if (step.IsGrant)
            {
                (int, int, bool, bool) Wanted((int Bar, int Page) page) => (step.Source, step.SourcePage + page.Page - step.First, step.ReadOnly, step.Shared);
                bool fits = pages.All(p => !model.TryGetValue(p, out var there) || there == Wanted(p));
                (int, int)[] fresh = fits ? [.. pages.Where(p => !model.ContainsKey(p))] : [];
                Assert.Equal(fits, book.TryAdd(step.Grant, out IReadOnlyList<Grant> added));
                Assert.Equal(fresh, added.SelectMany(PagesOf));
                foreach ((int Bar, int Page) page in fresh)
                {
                    model[page] = Wanted(page);
                }
            }
            else
            {
                Assert.Equal(pages.Where(model.ContainsKey), book.Revoke(step.Bar, (ulong)step.First * Page, (ulong)step.Count * Page).SelectMany(PagesOf));
                Array.ForEach(pages, p => model.Remove(p));
            }

            for (int bar = 0; bar < 2; bar++)
            {
                for (int page = 0; page < Pages; page++)
                {
                    Grant? found = book.Find(bar, ((ulong)page * Page) + 5);
                    Assert.Equal(model.TryGetValue((bar, page), out var there), found is not null);
                    if (found is not null)
                    {
                        ulong at = (found.SourceOffset / Page) + ((ulong)page - (found.Offset / Page));
                        Assert.Equal(there, (Array.IndexOf(Sources, found.Source), (int)at, found.Protection == GrantProtection.Read, found.IsShared));
                    }
                }
            }
        }

        Assert.Equal(model.Count, book.Clear().Sum(static g => (int)(g.Size / Page)));
        Assert.Empty(book.Grants);
        return true;
    }).Holds(300);

    [Fact]
    public void The_ledger_gives_no_page_to_two_guests_unless_both_share_it() => Prop.ForAll(Steps().ToArbitrary(), steps =>
    {
        SourceLedger ledger = new();
        List<(int Guest, Step Step)> held = [];
        foreach (Step step in steps)
        {
            if (step.IsGrant)
            {
                bool allowed = held.TrueForAll(
                    h => h.Guest == step.Guest || (h.Step.Shared && step.Shared) || !SourcePages(h.Step).Intersect(SourcePages(step)).Any());
                Assert.Equal(allowed, ledger.TryTake(Guests[step.Guest], step.Grant));
                if (allowed)
                {
                    held.Add((step.Guest, step));
                }
            }
            else if (held.Count != 0)
            {
                (int guest, Step taken) = held[step.First % held.Count];
                held.RemoveAt(step.First % held.Count);
                ledger.Release(Guests[guest], taken.Grant);
            }

            Assert.Equal(held.SelectMany(static h => SourcePages(h.Step)).Distinct().Count(), ledger.Count);
        }

        return true;
    }).Holds(300);

    private static readonly object[] Guests = [new(), new(), new()];

    private static IEnumerable<(int, int)> SourcePages(Step step) => Enumerable.Range(step.SourcePage, step.Count).Select(p => (step.Source, p));

    private static IEnumerable<(int, int)> PagesOf(Grant grant) =>
        Enumerable.Range((int)(grant.Offset / Page), (int)(grant.Size / Page)).Select(p => (grant.Bar, p));

    private static Gen<List<Step>> Steps() =>
        from count in Gen.Choose(1, 40)
        from steps in OneStep().ListOf(count)
        select steps.ToList();

    // Memory is often the same distance from the BAR, so that grants agree where they meet.
    private static Gen<Step> OneStep() =>
        from kind in Gen.Choose(0, 2)
        from bar in Gen.Choose(0, 1)
        from first in Gen.Choose(0, Pages - 1)
        from count in Gen.Choose(1, Pages)
        from source in Gen.Choose(0, 1)
        from distance in Gen.Frequency((3, Gen.Constant(0)), (1, Gen.Choose(1, 30)))
        from readOnly in Gen.Frequency((5, Gen.Constant(false)), (1, Gen.Constant(true)))
        from shared in Gen.Frequency((3, Gen.Constant(false)), (2, Gen.Constant(true)))
        from guest in Gen.Choose(0, 2)
        select new Step(kind != 0, bar, first, Math.Min(count, Pages - first), source, first + distance, readOnly, shared, guest);
}
