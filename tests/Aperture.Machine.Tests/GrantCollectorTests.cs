using Aperture.Machine.Verification;
using Aperture.Memory;
using Aperture.Memory.Faulting;
using Aperture.TestKit.Parts.Faulting;

namespace Aperture.Machine.Tests;

public class GrantCollectorTests
{
    private const ulong Page = FaultingMemory.Page;

    [Fact]
    public void What_is_granted_is_listed_at_the_guests_addresses_as_far_as_it_shows()
    {
        using Grantor granted = new(16);
        using RamBlock block = RamBlock.ForFaulting(granted.Memory);
        using AddressSpace space = AddressSpace.ForMemory();
        GuestAddress start = new(0xE000_0000);
        using (AddressChange change = space.Begin())
        {
            change.Place(Region.ForDevice("window", block, 4 * Page, 8 * Page, new Silent()), start, 0);
            change.Commit();
        }

        // A page before the part that shows, a run into it, one inside, and one that goes on behind it.
        granted.Give(0, 1);
        granted.Give(3 * Page, 2);
        granted.Give(7 * Page, 1, shift: 2, isWritable: false);
        granted.Give(11 * Page, 4);
        FoundGranted found = Assert.Single(GrantCollector.Collect(space.View));
        Assert.Equal((new AddressRange(start, 8 * Page), "window"), (found.Range, found.Owner));
        Assert.Equal(
        [
            new FoundGrant(new AddressRange(start, Page), 1, 4 * Page, true),
            new FoundGrant(new AddressRange(start + (3 * Page), Page), 1, 9 * Page, false),
            new FoundGrant(new AddressRange(start + (7 * Page), Page), 1, 11 * Page, true),
        ], found.Grants);
        Assert.Equal(4, found.Counts.Grants);
        Assert.Null(found.Difference);
    }

    [Fact]
    public void A_page_that_is_not_what_was_granted_is_a_difference()
    {
        using Grantor granted = new(16);
        using RamBlock block = RamBlock.ForFaulting(granted.Memory);
        using AddressSpace space = AddressSpace.ForMemory();
        using (AddressChange change = space.Begin())
        {
            change.Place(Region.ForDevice("window", block, 0, 16 * Page, new Silent()), new GuestAddress(0xE000_0000), 0);
            change.Commit();
        }

        granted.Give(2 * Page, 2);
        Assert.Equal(0, Linux.MemoryMap.ReplaceByOnes(granted.Memory.Address + (3 * Page), Page));
        string difference = Assert.Single(GrantCollector.Collect(space.View)).Difference!;
        Assert.Equal("grants: 0x2000-0x3fff of 0x2000 is granted, and 0x2000-0x2fff of 0x2000 is mapped", difference);
    }

    private sealed class Silent : IAccessHandler
    {
        public AccessResult Read(ulong offset, int size, out ulong value)
        {
            value = 0;
            return AccessResult.Unclaimed;
        }

        public AccessResult Write(ulong offset, int size, ulong value) => AccessResult.Unclaimed;
    }
}
