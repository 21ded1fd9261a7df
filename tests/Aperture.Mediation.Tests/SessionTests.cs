using Aperture.Memory;

namespace Aperture.Mediation.Tests;

/// <summary>What the library does between a guest and a mediator, seen by a mediator that does what the test says.</summary>
public class SessionTests
{
    private const ulong Page = GrantBook.Page;

    [Fact]
    public void A_guests_life_is_told_in_its_order()
    {
        FakeMediator mediator = new();
        using Place place = new(mediator);
        using (TestGuest guest = place.Connect())
        {
            guest.EnableBusMaster();
            Assert.Equal(0, guest.Device.Write(7, 4, [0x02, 0x00]));
            Assert.Equal(0x44332211u, guest.Read(0, 8));
            guest.Write(0, 0x10, 5);
            Assert.Equal(0, guest.Device.Reset());
        }

        place.Reports.Await("mediation.ended");
        Assert.Equal(["open", "master True", "master False", "read 0 0x8 4", "write 0 0x10 4 0x5", "reset", "end"], mediator.Log);
    }

    [Fact]
    public void An_access_that_no_bus_makes_becomes_some_that_it_does()
    {
        FakeMediator mediator = new();
        using Place place = new(mediator);
        using TestGuest guest = place.Connect();
        Assert.Equal(0, guest.Device.Write(0, 3, [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]));
        Assert.Equal([0x11, 0x11, 0x22], guest.ReadMany(0, 1, 3));
        Assert.Equal(
            ["open", "write 0 0x3 1 0x1", "write 0 0x4 4 0x5040302", "write 0 0x8 4 0x9080706", "write 0 0xc 1 0xa", "read 0 0x1 1", "read 0 0x2 2"],
            mediator.Log);
    }

    [Fact]
    public void A_grant_may_be_larger_than_the_page_touched_and_costs_one_fault()
    {
        FakeMediator mediator = new();
        mediator.OnFault = (_, _) => FaultAnswer.Give(mediator.Identity(2 * Page, 6 * Page));
        using Place place = new(mediator);
        using TestGuest guest = place.Connect();
        Assert.Equal(0, guest.Device.Write(2, (4 * Page) + 5, [1, 2, 3]));
        Assert.Equal([0, 1, 2, 3, 0], guest.ReadMany(2, (4 * Page) + 4, 5));
        Assert.Equal(0u, guest.Read(2, 2 * Page));
        Assert.Equal(["open", "fault 0x4005 write"], mediator.Log);
        Assert.Equal([mediator.Identity(2 * Page, 6 * Page)], place.Host.GrantsOf(0));
    }

    [Fact]
    public void A_part_of_a_grant_is_revoked_and_faults_again_alone()
    {
        FakeMediator mediator = new();
        IGuest? known = null;
        mediator.OnFault = (guest, fault) =>
        {
            known = guest;
            return FaultAnswer.Give(mediator.Identity(0, 8 * Page));
        };
        using Place place = new(mediator);
        using TestGuest guest = place.Connect();
        guest.Write(2, 0, 1);
        Assert.Equal(1u, guest.Read(2, 0));
        known!.Revoke(2, 3 * Page, 2 * Page);
        Assert.Equal([mediator.Identity(0, 3 * Page), mediator.Identity(5 * Page, 3 * Page)], place.Host.GrantsOf(0));
        Assert.Equal(6, place.Host.Ledger.Count);
        Assert.Equal(1u, guest.Read(2, 0));
        Assert.Equal(0u, guest.Read(2, 5 * Page));
        Assert.Equal(1, mediator.Log.Count(static l => l.StartsWith("fault", StringComparison.Ordinal)));
        Assert.Equal(0u, guest.Read(2, 4 * Page));
        Assert.Equal("fault 0x4000 read", mediator.Log[^1]);
        Assert.Equal(8, place.Host.Ledger.Count);
        Assert.Throws<ArgumentOutOfRangeException>(() => known.Revoke(2, 1, Page));
        Assert.Throws<ArgumentOutOfRangeException>(() => known.Revoke(2, 0, 17 * Page));
        Assert.Throws<ArgumentOutOfRangeException>(() => known.Revoke(1, 0, Page));
    }

    [Fact]
    public void A_read_only_grant_faults_for_writes_which_can_be_trapped()
    {
        FakeMediator mediator = new();
        mediator.OnFault = (_, fault) => fault.IsWrite ? FaultAnswer.Trap : FaultAnswer.Give(mediator.Identity(0, Page, GrantProtection.Read));
        using Place place = new(mediator);
        using TestGuest guest = place.Connect();
        Assert.Equal(0u, guest.Read(2, 16));
        guest.Write(2, 16, 7);
        Assert.Equal(0u, guest.Read(2, 16));
        Assert.Equal(["open", "fault 0x10 read", "fault 0x10 write", "write 2 0x10 4 0x7"], mediator.Log);
    }

    [Fact]
    public void A_mediator_may_revoke_within_its_own_fault_and_then_grant()
    {
        FakeMediator mediator = new();
        mediator.OnFault = (guest, fault) =>
        {
            guest.Revoke(2, 0, 15 * Page);
            return FaultAnswer.Give(mediator.Identity(fault.Offset & ~(Page - 1), Page));
        };
        using Place place = new(mediator);
        using TestGuest guest = place.Connect();
        guest.Write(2, 0, 1);
        guest.Write(2, Page, 2);
        Assert.Equal(2u, guest.Read(2, Page));
        Assert.Equal(["open", "fault 0x0 write", "fault 0x1000 write"], mediator.Log);
        Assert.Equal([mediator.Identity(Page, Page)], place.Host.GrantsOf(0));
    }

    [Fact]
    public void An_answer_that_a_revocation_overtakes_is_dropped_and_asked_for_again()
    {
        FakeMediator mediator = new();
        int faults = 0;
        mediator.OnFault = (guest, fault) =>
        {
            // Another thread's revocation while the answer is on its way.
            if (++faults == 1)
            {
                Thread other = new(() => guest.Revoke(2, 5 * Page, Page));
                other.Start();
                other.Join();
            }

            return FaultAnswer.Give(mediator.Identity(0, Page));
        };
        using Place place = new(mediator);
        using TestGuest guest = place.Connect();
        Assert.Equal(0u, guest.Read(2, 0));
        Assert.Equal(2, faults);
        Assert.Equal([mediator.Identity(0, Page)], place.Host.GrantsOf(0));
    }

    [Fact]
    public void A_mediator_that_always_takes_back_what_it_gives_refuses_in_effect()
    {
        FakeMediator mediator = new();
        mediator.OnFault = (guest, fault) =>
        {
            Thread other = new(() => guest.Revoke(2, 0, Page));
            other.Start();
            other.Join();
            return FaultAnswer.Give(mediator.Identity(0, Page));
        };
        using Place place = new(mediator);
        using TestGuest guest = place.Connect();
        Assert.Equal(uint.MaxValue, guest.Read(2, 0));
        Assert.Equal(0, place.Host.Ledger.Count);
    }

    [Theory]
    [InlineData("is not whole pages", 0UL, 100UL, 0UL, false)]
    [InlineData("lacks the page at 0x0", 0x1000UL, 0x1000UL, 0UL, false)]
    [InlineData("leaves the mediated part", 0UL, 0x10000UL, 0UL, false)]
    [InlineData("more than its source has", 0UL, 0x2000UL, 0xF000UL, false)]
    [InlineData("cannot be written", 0UL, 0x1000UL, 0UL, true)]
    public void A_grant_that_cannot_be_ends_the_session_with_a_sentence(string fault, ulong offset, ulong size, ulong source, bool readOnly)
    {
        FakeMediator mediator = new();
        mediator.OnFault = (_, _) => FaultAnswer.Give(
            mediator.Identity(offset, size, readOnly ? GrantProtection.Read : GrantProtection.ReadWrite) with { SourceOffset = source });
        using Place place = new(mediator);
        using TestGuest guest = place.Connect();
        _ = guest.Device.Write(2, 0, [1]);
        place.Reports.Await("vfio-user.ended");
        Assert.Contains(
            place.Reports.Notices, n => n.Contains(fault, StringComparison.Ordinal) && n.Contains("the mediator fake failed", StringComparison.Ordinal));
        Assert.Equal(0, place.Host.Ledger.Count);
    }

    [Fact]
    public void A_page_of_another_guest_is_not_granted_unless_both_share_it()
    {
        FakeMediator mediator = new();
        bool shared = true;
        mediator.OnFault = (_, fault) => FaultAnswer.Give(mediator.Identity(fault.Offset, Page, shared: shared));
        using Place place = new(mediator, guests: 2);
        using TestGuest one = place.Connect(0);
        using TestGuest other = place.Connect(1);
        one.Write(2, 0, 42);
        Assert.Equal(42u, one.Read(2, 0));
        Assert.Equal(42u, other.Read(2, 0));
        shared = false;
        one.Write(2, Page, 43);
        Assert.Equal(43u, one.Read(2, Page));
        Assert.NotEqual(0, other.Device.Read(2, Page, new byte[4]));
        place.Reports.Await("vfio-user.ended");
        Assert.Contains(place.Reports.Notices, static n => n.Contains("is another guest's", StringComparison.Ordinal));

        // The one has both of its pages as before.
        Assert.Equal(42u, one.Read(2, 0));
        Assert.Equal(43u, one.Read(2, Page));
        Assert.Equal(2, place.Host.Ledger.Count);
    }

    [Theory]
    [InlineData("open")]
    [InlineData("read")]
    [InlineData("write")]
    [InlineData("fault")]
    [InlineData("master")]
    [InlineData("reset")]
    [InlineData("end")]
    public void A_mediator_that_throws_ends_that_session_alone_and_the_next_guest_is_served(string where)
    {
        FakeMediator mediator = new();
        bool armed = false;
        mediator.OnCall = (guest, what) =>
        {
            if (armed && guest.Name.EndsWith("0.sock", StringComparison.Ordinal) && what.StartsWith(where, StringComparison.Ordinal))
            {
                throw new InvalidOperationException($"the {where} went wrong");
            }
        };
        mediator.OnFault = (_, fault) => FaultAnswer.Give(mediator.Identity(fault.Offset & ~(Page - 1), Page, shared: true));
        using Place place = new(mediator, guests: 2);
        using TestGuest other = place.Connect(1);
        Assert.Equal(0u, other.Read(2, 0));
        armed = true;
        try
        {
            using TestGuest victim = place.Connect(0);
            _ = victim.Device.Read(2, Page, new byte[4]);
            _ = victim.Device.Write(7, 4, [6, 0]);
            _ = victim.Device.Write(0, 0, [1]);
            _ = victim.Device.Read(0, 0, new byte[1]);
            _ = victim.Device.Reset();
        }
        catch (ApertureException) when (where == "open")
        {
        }

        place.Reports.Await(where == "end" ? "mediation.failed" : "vfio-user.ended");
        string notice = Assert.Single(place.Reports.Notices, static n => n.Contains("the mediator fake failed", StringComparison.Ordinal));
        Assert.Contains($"the {where} went wrong", notice, StringComparison.Ordinal);
        Assert.Contains("0.sock", notice, StringComparison.Ordinal);
        armed = false;
        Assert.True(SpinWait.SpinUntil(() => place.Host.Ledger.Count == 1, 20_000));

        // The other never noticed, and the next is served.
        Assert.Equal(0u, other.Read(2, 0));
        using TestGuest next = place.Connect(0);
        Assert.Equal(0u, next.Read(2, 2 * Page));
    }

    [Fact]
    public void A_description_that_contradicts_itself_is_refused_before_anybody_comes()
    {
        FunctionDescription good = new FakeMediator().Description;
        BarDescription window = good.Bars[1];
        RamBlock small = RamBlock.Create("small", Page, shared: true);
        Refused("parts are whole pages", window with { Parts = [new BarPart(0, 100, BarPartKind.Mediated)] });
        Refused("parts are whole pages", window with { Parts = [new(0, 2 * Page, BarPartKind.Mediated), new(Page, Page, BarPartKind.Mediated)] });
        Refused("no shared memory", window with { Parts = [new BarPart(0, Page, BarPartKind.Fixed)] });
        Refused("no shared memory", window with { Parts = [new BarPart(Page, Page, BarPartKind.Fixed)], Memory = small });
        Refused("cannot be 0x3000 bytes", window with { Size = 3 * Page, Parts = [] });
        using FakeMediator mediator = new() { Description = good with { Msix = new MsixDescription(4, 2, 0, 0x800) } };
        using MediationHost host = new(mediator, new Reports());
        Assert.Contains("trapped part", Assert.Throws<ApertureException>(() => host.Listen("/nowhere/s")).Message, StringComparison.Ordinal);

        void Refused(string why, BarDescription bar)
        {
            using FakeMediator bad = new() { Description = good with { Bars = [bar] } };
            using MediationHost place = new(bad, new Reports());
            Assert.Contains(why, Assert.Throws<ApertureException>(() => place.Listen("/nowhere/s")).Message, StringComparison.Ordinal);
        }
    }
}
