using Aperture.Mediation.Mediators;
using Aperture.VfioUser.Client;
using Aperture.VfioUser.Server;

namespace Aperture.Mediation.Tests;

/// <summary>Clients that map what they are granted (docs/vfio-user.md, the extension).</summary>
[Collection(nameof(Alone))]
public class MappingTests
{
    private const ulong Page = GrantBook.Page;
    private const int Window = PartitionMediator.WindowBar;

    [Fact]
    public void A_granted_page_is_mapped_at_its_first_touch_and_costs_no_message_after_it()
    {
        using Place place = new(new PartitionMediator(8 * Page, trust: true));
        using MappedGuest guest = new(place);
        Assert.Equal([new Assignment.VfioArea(0, 8 * Page)], guest.Device.FaultingAreas(Window));
        Assert.Empty(guest.Device.Regions[Window].Areas);
        guest.Registers.Ring(PartitionCommand.Claim, 2, 2);
        guest.Write(Window, (2 * Page) + 4, 77);
        for (int i = 0; i < 100; i++)
        {
            Assert.Equal(77u, guest.Read(Window, (2 * Page) + 4));
        }

        Assert.Equal((1, 1), (guest.Faults, guest.Mapped));

        // By a message it is the same page.
        Assert.Equal(77u, guest.Registers.Read(Window, (2 * Page) + 4));
        Assert.Equal(uint.MaxValue, guest.Read(Window, 5 * Page));
        Assert.Equal(0, guest.Revocations);
    }

    [Fact]
    public void A_server_that_does_not_trust_its_clients_and_a_client_that_does_not_ask_use_messages()
    {
        using Place untrusting = new(new PartitionMediator(8 * Page));
        using MappedGuest guest = new(untrusting);
        Assert.Empty(guest.Device.FaultingAreas(Window));
        guest.Registers.Ring(PartitionCommand.Claim, 0, 1);
        guest.Write(Window, 8, 5);
        Assert.Equal((5u, 0), (guest.Read(Window, 8), guest.Mapped));

        using Place trusting = new(new PartitionMediator(8 * Page, trust: true));
        using TestGuest standard = trusting.Connect();
        Assert.Empty(standard.Device.FaultingAreas(Window));
        standard.Ring(PartitionCommand.Claim, 0, 1);
        standard.Write(Window, 8, 5);
        Assert.Equal(5u, standard.Read(Window, 8));
    }

    [Fact]
    public void What_is_revoked_is_unmapped_before_another_guest_gets_it()
    {
        using Place place = new(new PartitionMediator(8 * Page, trust: true), guests: 2);
        using MappedGuest one = new(place, 0);
        using MappedGuest other = new(place, 1);
        one.Registers.Ring(PartitionCommand.Claim, 0, 8);
        other.Registers.Ring(PartitionCommand.Claim, 0, 8);
        for (uint page = 0; page < 8; page++)
        {
            one.Write(Window, page * Page, 1 + page);
        }

        Assert.Equal(0u, other.Read(Window, 0));
        other.Write(Window, 0, 99);
        Assert.Equal((7, 1, 1), (one.Mapped, one.Revocations, other.Mapped));
        Assert.Equal(0u, one.Read(Window, 0));
        Assert.Equal(3u, one.Read(Window, 2 * Page));
        Assert.Equal(99u, other.Read(Window, 0));
        one.Forget();
        Assert.Equal(0, one.Device.Reset());
        Assert.Equal(1, place.Host.Ledger.Count);
        Assert.Equal(uint.MaxValue, one.Read(Window, 0));
    }

    [Fact]
    public void A_grant_for_reading_faults_at_the_first_write()
    {
        FakeMediator mediator = new();
        mediator.Description = mediator.Description with { TrustsClient = true };
        mediator.OnFault = (_, fault) => fault.IsWrite ? FaultAnswer.Trap : FaultAnswer.Give(mediator.Identity(0, 4 * Page, GrantProtection.Read));
        using Place place = new(mediator);
        using MappedGuest guest = new(place);
        Assert.Equal((0u, 0u), (guest.Read(2, 0), guest.Read(2, 3 * Page)));
        guest.Write(2, 8, 7);

        // The write is posted; a read comes after it.
        guest.Registers.Read(0, 0);
        Assert.Equal((2, 4), (guest.Faults, guest.Mapped));
        Assert.Contains("write 2 0x8 4 0x7", mediator.Log);
    }

    [Fact]
    public void Guests_that_fight_for_mapped_pages_read_their_own_words_or_zeros()
    {
        const int Guests = 3;
        const int Rounds = 2000;
        PartitionMediator mediator = new(8 * Page, window: 8 * Page, trust: true);
        using Place place = new(mediator, Guests);
        int[] own = new int[Guests];
        int[] revoked = new int[Guests];
        using Barrier together = new(Guests);
        Thread[] threads = [.. Enumerable.Range(0, Guests).Select(i => new Thread(() =>
        {
            using MappedGuest guest = new(place, i);
            guest.Registers.Ring(PartitionCommand.Claim, 0, 8);
            Random random = new(i);
            for (int round = 0; round < Rounds; round++)
            {
                Assert.True(round % 50 != 0 || together.SignalAndWait(20_000));
                ulong at = ((ulong)random.Next(8) * Page) + ((ulong)random.Next(1024) * 4);
                guest.Write(Window, at, 0x1000u + (uint)i);
                uint seen = guest.Read(Window, at);
                own[i] += seen == 0x1000u + (uint)i ? 1 : seen == 0 ? 0 : int.MinValue;
            }

            revoked[i] = guest.Revocations;
        }))];
        Array.ForEach(threads, static t => t.Start());
        Array.ForEach(threads, static t => t.Join());
        Assert.All(own, static count => Assert.InRange(count, 1, Rounds));
        Assert.All(revoked, static count => Assert.NotEqual(0, count));
        place.Reports.Await("mediation.ended", Guests);
        Assert.Equal((8, 0), (mediator.Free, place.Host.Ledger.Count));
        Assert.Empty(place.Reports.Notices);
    }

    [Fact]
    public void A_client_that_does_not_let_go_in_time_is_cut_off_and_the_other_has_its_page()
    {
        using Place place = new(new PartitionMediator(8 * Page, trust: true), 2, new ServerLimits { PatienceMilliseconds = 2000 });
        using ManualResetEventSlim never = new();
        using MappedGuest one = new(place, 0);
        using MappedGuest other = new(place, 1);
        one.Registers.Ring(PartitionCommand.Claim, 0, 8);
        other.Registers.Ring(PartitionCommand.Claim, 0, 8);
        for (uint page = 0; page < 8; page++)
        {
            one.Write(Window, page * Page, 1 + page);
        }

        one.Stuck = never;
        Assert.Equal(0u, other.Read(Window, 0));
        place.Reports.Await("mediation.ended");
        Assert.Equal(TouchOutcome.Granted, other.Device.Touch(Window, Page, true, static _ => { }));
        never.Set();
        Assert.True(SpinWait.SpinUntil(() => one.Device.IsDead, 20_000));
    }
}
