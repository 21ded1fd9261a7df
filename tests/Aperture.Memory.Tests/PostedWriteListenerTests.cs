using FsCheck.Fluent;

namespace Aperture.Memory.Tests;

public class PostedWriteListenerTests
{
    private const int Places = 12;

    [Fact]
    public void Writes_are_collected_exactly_where_a_posted_region_answers()
    {
        // Each number places a region there, or takes it away again; every third is not posted and lies on top of its neighbours.
        Prop.ForAll(Gen.Choose(0, Places - 1).ListOf(20).ToArbitrary(), toggles =>
        {
            using AddressSpace space = AddressSpace.ForMemory();
            Collected collected = new();
            space.AddListener(new PostedWriteListener(collected));
            Region?[] placed = new Region?[Places];
            foreach (int at in toggles)
            {
                using AddressChange change = space.Begin();
                if (placed[at] is { } there)
                {
                    change.Remove(there);
                    placed[at] = null;
                }
                else
                {
                    bool posted = at % 3 != 0;
                    placed[at] = Region.Trapped($"r{at}", 0x1800, new ByteDevice(0x1800), posted);
                    change.Place(placed[at]!, new GuestAddress((ulong)at * 0x1000), posted ? 0 : 1);
                }

                change.Commit();
                for (ulong address = 0; address < (Places + 1) * 0x1000; address += 0x800)
                {
                    int index = space.View.IndexOf(new GuestAddress(address));
                    bool wanted = index >= 0 && space.View.Ranges[index].Region.IsPosted;
                    Assert.Equal(wanted ? 1 : 0, collected.Ranges.Count(r => r.Contains(new GuestAddress(address))));
                }
            }
        }).Holds();
    }

    private sealed class Collected : IPostedWriteBackend
    {
        public List<AddressRange> Ranges { get; } = [];

        public void Add(AddressRange range) => Ranges.Add(range);

        public void Remove(AddressRange range) => Assert.True(Ranges.Remove(range), $"{range} was never collected");
    }
}
