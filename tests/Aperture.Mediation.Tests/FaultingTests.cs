using Aperture.Mediation.Mediators;
using Aperture.Memory;
using Aperture.Memory.Faulting;
using Aperture.VfioUser.Client;

namespace Aperture.Mediation.Tests;

/// <summary>Guests whose first touch of a page is a page fault, from the touch to the mediator and back.</summary>
[Collection(nameof(Alone))]
public class FaultingTests
{
    private const ulong Page = GrantBook.Page;

    [Fact]
    public void A_touch_is_answered_by_the_mediator_and_the_page_is_the_guests_from_then_on()
    {
        using Place place = new(new PartitionMediator(8 * Page, trust: true));
        using FaultedGuest guest = new(place);
        Assert.Equal([new Assignment.VfioArea(0, 8 * Page)], guest.Device.Regions[2].Areas);
        guest.Registers.Ring(PartitionCommand.Claim, 2, 2);
        guest.Write((2 * Page) + 4, 77);
        for (int i = 0; i < 100; i++)
        {
            Assert.Equal(77u, guest.Read((2 * Page) + 4));
        }

        Assert.Equal(new FaultCounts(1, 1, 0, 0), guest.Memory.Counts);
        Assert.Equal(Page, guest.Mapped);
        Assert.Null(guest.Memory.Verify());

        // By a message it is the same page.
        Assert.Equal(77u, guest.Registers.Read(2, (2 * Page) + 4));
    }

    [Fact]
    public void What_the_guest_did_not_claim_reads_ones_and_once_it_has_claimed_it_is_its_own()
    {
        using Place place = new(new PartitionMediator(8 * Page, trust: true));
        using FaultedGuest guest = new(place);
        for (uint page = 0; page < 8; page++)
        {
            Assert.Equal(uint.MaxValue, guest.Read(page * Page));
            guest.Write(page * Page, 5);
            Assert.Equal(PartitionStatus.Done, guest.Registers.Ring(PartitionCommand.Claim, page, 1));
            Assert.Equal(0u, guest.Read(page * Page));
        }

        Assert.Equal(8 * Page, guest.Mapped);
        Assert.Equal(2, place.Reports.Notices.Length);
        Assert.Equal(1, place.Reports.Count("memory.refused"));
    }

    [Fact]
    public void What_is_revoked_is_out_of_the_guest_before_another_gets_it()
    {
        using Place place = new(new PartitionMediator(8 * Page, trust: true), guests: 2);
        using FaultedGuest one = new(place, 0);
        using FaultedGuest other = new(place, 1);
        one.Registers.Ring(PartitionCommand.Claim, 0, 8);
        other.Registers.Ring(PartitionCommand.Claim, 0, 8);
        for (uint page = 0; page < 8; page++)
        {
            one.Write(page * Page, 1 + page);
        }

        Assert.Equal(0u, other.Read(0));
        other.Write(0, 99);
        Assert.Equal((7 * Page, 1, Page), (one.Mapped, one.Memory.Counts.Revocations, other.Mapped));
        Assert.Equal(0u, one.Read(0));
        Assert.Equal(3u, one.Read(2 * Page));
        Assert.Equal(99u, other.Read(0));
        Assert.Null(one.Memory.Verify());

        // A reset takes all out before the server hears of it.
        Assert.Equal(0, one.Device.Reset());
        Assert.Equal((0UL, 1), (one.Mapped, place.Host.Ledger.Count));
        Assert.Equal(uint.MaxValue, one.Read(0));
        Assert.Equal(99u, other.Read(0));
    }

    [Fact]
    public void Guests_that_fight_for_pages_read_their_own_words_or_zeros()
    {
        const int Guests = 3;
        const int Rounds = 1000;
        PartitionMediator mediator = new(8 * Page, window: 8 * Page, trust: true);
        using Place place = new(mediator, Guests);
        int[] own = new int[Guests];
        Aside<long>[] threads = [.. Enumerable.Range(0, Guests).Select(i => Aside.Run(() =>
        {
            using FaultedGuest guest = new(place, i);
            guest.Registers.Ring(PartitionCommand.Claim, 0, 8);
            Random random = new(i);
            for (int round = 0; round < Rounds; round++)
            {
                ulong at = ((ulong)random.Next(8) * Page) + ((ulong)random.Next(1024) * 4);
                guest.Write(at, 0x1000u + (uint)i);
                uint seen = guest.Read(at);
                own[i] += seen == 0x1000u + (uint)i ? 1 : seen == 0 ? 0 : int.MinValue;
                if (round % 100 == 0)
                {
                    Assert.Null(guest.Memory.Verify());
                }
            }

            return guest.Memory.Counts.Revocations;
        }))];
        Assert.All(threads, static t => Assert.NotEqual(0, t.Result));
        Assert.All(own, static count => Assert.InRange(count, 1, Rounds));
        place.Reports.Await("mediation.ended", Guests);
        Assert.Equal((8, 0), (mediator.Free, place.Host.Ledger.Count));
        Assert.Empty(place.Reports.Notices);
    }

    [Fact]
    public void A_server_that_ends_while_a_touch_waits_leaves_ones_and_a_guest_that_goes_on()
    {
        using ManualResetEventSlim asked = new();
        using ManualResetEventSlim never = new();
        FakeMediator mediator = new();
        mediator.Description = mediator.Description with { TrustsClient = true };
        mediator.OnFault = (_, fault) =>
        {
            if (fault.Offset == 0)
            {
                return FaultAnswer.Give(mediator.Identity(0, Page));
            }

            asked.Set();
            never.Wait();
            return FaultAnswer.Refuse;
        };
        Place place = new(mediator);
        using FaultedGuest guest = new(place);
        guest.Write(0, 1);
        Aside<uint> touch = Aside.Run(() => guest.Read(Page));
        asked.Wait(TestContext.Current.CancellationToken);
        Assert.False(touch.IsOver);
        Assert.Equal(Page, guest.Mapped);
        Aside<int> end = Aside.Run(() =>
        {
            place.Dispose();
            return 0;
        });
        Assert.Equal(uint.MaxValue, touch.Result);
        never.Set();
        Assert.Equal(0, end.Result);
        Assert.True(guest.Device.IsDead);
        Assert.True(SpinWait.SpinUntil(() => guest.Mapped == 0, 20_000));
        Assert.Equal((uint.MaxValue, uint.MaxValue), (guest.Read(0), guest.Read(3 * Page)));
        Assert.Equal(1, place.Reports.Count("vfio-user.gone"));
        Assert.Null(guest.Memory.Verify());
    }

    [Fact]
    public void A_server_that_does_not_answer_a_touch_in_time_is_dead_and_the_guest_reads_ones()
    {
        using ManualResetEventSlim never = new();
        FakeMediator mediator = new();
        mediator.Description = mediator.Description with { TrustsClient = true };
        mediator.OnFault = (_, _) =>
        {
            never.Wait();
            return FaultAnswer.Refuse;
        };
        using Place place = new(mediator);
        using VfioUserDevice device = VfioUserDevice.Connect(
            place.Paths[0], place.Reports, options: new ClientOptions { MapGrants = true, PatienceMilliseconds = 300 });
        Assert.SkipWhen(device.Regions[2].Areas.Count == 0, "this user may not handle page faults");
        using RamBlock block = device.Map(2, device.Regions[2].Areas[0]);
        byte[] bytes = new byte[4];
        Assert.Equal(0, Linux.GuardedCopy.TryRead(block.HostAddress, bytes));
        Assert.Equal(uint.MaxValue, BitConverter.ToUInt32(bytes));
        Assert.True(device.IsDead);
        never.Set();
    }

    [Fact]
    public void A_server_that_wants_single_accesses_is_told_of_once()
    {
        FakeMediator mediator = new();
        mediator.Description = mediator.Description with { TrustsClient = true };
        mediator.OnFault = static (_, _) => FaultAnswer.Trap;
        using Place place = new(mediator);
        using FaultedGuest guest = new(place);
        Assert.Equal((uint.MaxValue, uint.MaxValue), (guest.Read(0), guest.Read(Page)));
        Assert.Equal(1, place.Reports.Count("vfio-user.trap"));
        Assert.NotEqual(uint.MaxValue, guest.Registers.Read(2, 0));
    }

    [Fact]
    public void A_part_of_what_is_granted_is_mapped_where_only_a_part_of_the_area_is()
    {
        FakeMediator mediator = new();
        mediator.Description = mediator.Description with { TrustsClient = true };
        mediator.OnFault = (_, _) => FaultAnswer.Give(mediator.Identity(0, 8 * Page));
        using Place place = new(mediator);
        using VfioUserDevice device = VfioUserDevice.Connect(place.Paths[0], place.Reports, options: new ClientOptions { MapGrants = true });
        Assert.SkipWhen(device.Regions[2].Areas.Count == 0, "this user may not handle page faults");
        for (ulong page = 0; page < 8; page++)
        {
            mediator.Memory.Write(page * Page, 40 + page);
        }

        using RamBlock low = device.Map(2, new Assignment.VfioArea(0, 2 * Page));
        using RamBlock high = device.Map(2, new Assignment.VfioArea(4 * Page, 2 * Page));
        byte[] bytes = new byte[4];
        Assert.Equal(0, Linux.GuardedCopy.TryRead(high.HostAddress + Page, bytes));
        Assert.Equal(45, bytes[0]);
        Assert.Equal([new GrantRun(0, 2 * Page, GrantRunKind.Granted, high.Faulting!.Runs[0].Source, 4 * Page, true)], high.Faulting.Runs);
        Assert.Empty(low.Faulting!.Runs);
    }

    [Fact]
    public void A_thousand_sessions_leave_no_descriptor_mapping_thread_or_page()
    {
        PartitionMediator mediator = new(8 * Page, trust: true);
        using Place place = new(mediator, 1);
        Sessions(5);
        (int descriptors, int mappings, int threads) before = Count();
        Sessions(1000);
        Assert.True(
            SpinWait.SpinUntil(
                () => Count() is var now && now.Descriptors <= before.descriptors && now.Mappings <= before.mappings && now.Threads <= before.threads, 20_000),
            $"{Count()} after {before}");
        Assert.Equal((8, 0), (mediator.Free, place.Host.Ledger.Count));
        Assert.Empty(place.Reports.Notices);

        void Sessions(int count)
        {
            int ended = place.Reports.Count("mediation.ended");
            for (int i = 0; i < count; i++)
            {
                using (FaultedGuest guest = new(place))
                {
                    guest.Registers.Ring(PartitionCommand.Claim, 0, 8);
                    guest.Write((ulong)(i & 7) * Page, 7);
                }

                place.Reports.Await("mediation.ended", ended + i + 1);
            }
        }
    }

    // Descriptors of no file of a disk and mappings of memory that is granted: the runtime's own come and go. Threads of pagers, likewise.
    private static (int Descriptors, int Mappings, int Threads) Count()
    {
        GC.Collect();
        GC.WaitForPendingFinalizers();
        return (new DirectoryInfo("/proc/self/fd").GetFileSystemInfos().Count(static f => f.LinkTarget is { } target
                && (!target.StartsWith('/') || target.StartsWith("/memfd:", StringComparison.Ordinal))),
            File.ReadLines("/proc/self/maps").Count(static line => line.Contains("memfd:partition", StringComparison.Ordinal)),
            Directory.GetDirectories("/proc/self/task").Count(static task => File.ReadAllText($"{task}/comm").StartsWith("faults", StringComparison.Ordinal)));
    }
}
