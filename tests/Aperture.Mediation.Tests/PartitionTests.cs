using System.Buffers.Binary;
using Aperture.Linux;
using Aperture.Mediation.Mediators;

namespace Aperture.Mediation.Tests;

/// <summary>Guests that divide memory, each over a socket of its own.</summary>
public class PartitionTests
{
    private const ulong Page = GrantBook.Page;
    private const int Window = PartitionMediator.WindowBar;

    [Fact]
    public void A_page_is_the_guests_from_its_first_touch_after_it_was_claimed()
    {
        PartitionMediator mediator = new(16 * Page);
        using Place place = new(mediator);
        using TestGuest guest = place.Connect();
        Assert.Equal(PartitionRegisters.Magic, guest.Read(0, PartitionRegisters.Identification));
        Assert.Equal(12u, guest.Read(0, PartitionRegisters.PageShift));
        Assert.Equal(16u, guest.Read(0, PartitionRegisters.WindowPages));
        Assert.Empty(guest.Device.Regions[Window].Areas);

        Assert.Equal(PartitionStatus.Done, guest.Ring(PartitionCommand.Claim, 3, 2));
        Assert.Equal((16u, 0u), (guest.Read(0, PartitionRegisters.FreePages), guest.Read(0, PartitionRegisters.HeldPages)));
        Assert.Equal(0u, guest.Read(Window, (3 * Page) + 8));
        Assert.Equal((15u, 1u), (guest.Read(0, PartitionRegisters.FreePages), guest.Read(0, PartitionRegisters.HeldPages)));

        // One access over the border of two pages, one of which is not there yet.
        byte[] bytes = [.. Enumerable.Range(1, 100).Select(static i => (byte)i)];
        Assert.Equal(0, guest.Device.Write(Window, (4 * Page) - 37, bytes));
        Assert.Equal(bytes, guest.ReadMany(Window, (4 * Page) - 37, 100));
        Assert.Equal([3 * Page, 4 * Page], place.Host.GrantsOf(0).Select(static g => g.Offset));
        Assert.Equal(2, place.Host.Ledger.Count);
        Assert.Empty(place.Reports.Notices);
    }

    [Fact]
    public void What_is_not_claimed_reads_ones_and_loses_writes_and_is_told_once()
    {
        PartitionMediator mediator = new(8 * Page);
        using Place place = new(mediator);
        using TestGuest guest = place.Connect();
        guest.Ring(PartitionCommand.Claim, 0, 1);
        guest.Write(Window, Page - 4, 7);
        guest.Write(Window, Page, 0);
        byte[] bytes = guest.ReadMany(Window, Page - 4, 12);
        Assert.Equal([7, 0, 0, 0, 255, 255, 255, 255, 255, 255, 255, 255], bytes);
        Assert.Contains("partition refuses", Assert.Single(place.Reports.Notices), StringComparison.Ordinal);
        Assert.Equal(1, place.Host.Ledger.Count);
    }

    [Fact]
    public void What_is_given_up_is_gone_and_somebody_elses_with_zeros_in_it()
    {
        PartitionMediator mediator = new(8 * Page);
        using Place place = new(mediator, guests: 2);
        using TestGuest one = place.Connect(0);
        using TestGuest other = place.Connect(1);
        one.Ring(PartitionCommand.Claim, 0, 8);
        Fill(one, 8, 0xABCDEF01);
        Assert.Equal(PartitionStatus.Done, one.Ring(PartitionCommand.GiveUp, 0, 8));
        Assert.Equal(8, mediator.Free);
        Assert.Equal(uint.MaxValue, one.Read(Window, 0));
        other.Ring(PartitionCommand.Claim, 0, 8);
        Assert.All(other.ReadMany(Window, 0, (int)(8 * Page)), static b => Assert.Equal(0, b));
        Assert.Equal(0u, one.Read(0, PartitionRegisters.TakenPages));
    }

    [Fact]
    public void Two_guests_see_each_others_revocations_least_recently_granted_first()
    {
        PartitionMediator mediator = new(8 * Page);
        using Place place = new(mediator, guests: 2);
        using TestGuest one = place.Connect(0);
        using TestGuest other = place.Connect(1);
        one.EnableBusMaster();
        using EventFd told = one.Tie(2, 0);
        one.Ring(PartitionCommand.Claim, 0, 8);
        Fill(one, 8, 0x11111111);
        other.Ring(PartitionCommand.Claim, 4, 4);

        // The other's pages come from what the one was granted first.
        Fill(other, 2, 0x22222222, first: 4);
        Assert.Equal((6u, 2u), (one.Read(0, PartitionRegisters.HeldPages), other.Read(0, PartitionRegisters.HeldPages)));
        Assert.Equal([2 * Page, 3 * Page, 4 * Page, 5 * Page, 6 * Page, 7 * Page], place.Host.GrantsOf(0).Select(static g => g.Offset));
        Assert.True(told.TryTake(out ulong count));
        Assert.Equal(2UL, count);
        Assert.Equal(2u, one.Read(0, PartitionRegisters.TakenPages));
        Assert.Equal([0u, 1u, uint.MaxValue], new[] { 0, 1, 2 }.Select(_ => one.Read(0, PartitionRegisters.NextTaken)));

        // The one touches a page that it lost: it comes back empty, and the next of its own oldest goes.
        Assert.Equal(0u, one.Read(Window, 0));
        Assert.Equal(2u, one.Read(0, PartitionRegisters.NextTaken));
        Assert.Equal(0x11111111u, one.Read(Window, 7 * Page));
        Assert.Equal(0x22222222u, other.Read(Window, 5 * Page));

        // Turn and turn about, all of the one's others go before the other's first.
        Fill(one, 5, 0x33333333, first: 1);
        Assert.Equal(2u, other.Read(0, PartitionRegisters.HeldPages));
        Fill(one, 1, 0x33333333, first: 6);
        Assert.Equal(1u, other.Read(0, PartitionRegisters.HeldPages));
        Assert.Equal(4u, other.Read(0, PartitionRegisters.NextTaken));
        Assert.Equal(8, place.Host.Ledger.Count);
    }

    [Fact]
    public void A_reset_takes_all_pages_and_claims_back()
    {
        PartitionMediator mediator = new(8 * Page);
        using Place place = new(mediator);
        using TestGuest guest = place.Connect();
        guest.Ring(PartitionCommand.Claim, 0, 4);
        Fill(guest, 4, 5);
        Assert.Equal(0, guest.Device.Reset());
        Assert.Equal((8, 0), (mediator.Free, place.Host.Ledger.Count));
        Assert.Equal(uint.MaxValue, guest.Read(Window, 0));
        guest.Ring(PartitionCommand.Claim, 0, 4);
        Assert.Equal(0u, guest.Read(Window, 0));
    }

    [Theory]
    [InlineData(PartitionCommand.Claim, 0u, 9u, PartitionStatus.NoSuchPages)]
    [InlineData(PartitionCommand.Claim, 9u, 0u, PartitionStatus.NoSuchPages)]
    [InlineData(PartitionCommand.GiveUp, 0xFFFFFFFFu, 2u, PartitionStatus.NoSuchPages)]
    [InlineData(PartitionCommand.Claim, 1u, 0xFFFFFFFFu, PartitionStatus.NoSuchPages)]
    [InlineData((PartitionCommand)3, 0u, 1u, PartitionStatus.NoSuchCommand)]
    [InlineData(PartitionCommand.Claim, 8u, 0u, PartitionStatus.Done)]
    public void A_doorbell_that_asks_for_nonsense_says_so(PartitionCommand command, uint first, uint count, PartitionStatus status)
    {
        using Place place = new(new PartitionMediator(8 * Page));
        using TestGuest guest = place.Connect();
        Assert.Equal(status, guest.Ring(command, first, count));
        Assert.Equal(uint.MaxValue, guest.Read(Window, 0));
    }

    [Fact]
    public void Guests_that_fight_for_pages_read_their_own_words_or_zeros()
    {
        const int Guests = 3;
        const int Rounds = 3000;
        PartitionMediator mediator = new(8 * Page, window: 8 * Page);
        using Place place = new(mediator, Guests);
        int[] own = new int[Guests];
        Thread[] threads = [.. Enumerable.Range(0, Guests).Select(i => new Thread(() =>
        {
            using TestGuest guest = place.Connect(i);
            guest.Ring(PartitionCommand.Claim, 0, 8);
            Random random = new(i);
            for (int round = 0; round < Rounds; round++)
            {
                ulong at = ((ulong)random.Next(8) * Page) + ((ulong)random.Next(1024) * 4);
                guest.Write(Window, at, 0x1000u + (uint)i);
                uint seen = guest.Read(Window, at);
                own[i] += seen == 0x1000u + (uint)i ? 1 : seen == 0 ? 0 : int.MinValue;
            }
        }))];
        Array.ForEach(threads, static t => t.Start());
        Array.ForEach(threads, static t => t.Join());
        Assert.All(own, static count => Assert.InRange(count, 1, Rounds));
        place.Reports.Await("mediation.ended", Guests);
        Assert.Equal((8, 0), (mediator.Free, place.Host.Ledger.Count));
        Assert.Empty(place.Reports.Notices);
    }

    private static void Fill(TestGuest guest, int pages, uint value, int first = 0)
    {
        byte[] bytes = new byte[Page];
        for (int i = 0; i < bytes.Length; i += 4)
        {
            BinaryPrimitives.WriteUInt32LittleEndian(bytes.AsSpan(i), value);
        }

        for (int i = first; i < first + pages; i++)
        {
            Assert.Equal(0, guest.Device.Write(Window, (ulong)i * Page, bytes));
            Assert.Equal(value, guest.Read(Window, ((ulong)i * Page) + 4));
        }
    }
}
