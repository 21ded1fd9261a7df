using Aperture.Linux;
using Aperture.Memory.Faulting;
using Aperture.TestKit.Parts.Faulting;

namespace Aperture.Memory.Tests.Faulting;

public class FaultingMemoryTests
{
    private const ulong Page = FaultingMemory.Page;

    [Fact]
    public void The_first_touch_of_a_page_is_answered_and_later_ones_find_it()
    {
        using Grantor guest = new(8);
        Assert.Empty(guest.Memory.Runs);
        for (int i = 0; i < 20; i++)
        {
            Assert.Equal(6u, guest.Read(5));
        }

        Assert.Equal(0, guest.Write(5, 77));
        Assert.Equal((77u, 77u), (guest.Read(5), guest.InFile(5)));
        Assert.Equal(new FaultCounts(1, 1, 0, 0), guest.Memory.Counts);
        Assert.Equal([new GrantRun(5 * Page, Page, GrantRunKind.Granted, 1, 5 * Page, true)], guest.Memory.Runs);
        Assert.Null(guest.Memory.Verify());
    }

    [Fact]
    public void What_is_revoked_faults_again_and_shows_what_is_granted_then()
    {
        using Grantor guest = new(8);
        Assert.Equal((3u, 4u), (guest.Read(2), guest.Read(3)));
        guest.Memory.Revoke(2 * Page, Page);
        Assert.Null(guest.Memory.Verify());
        guest.OnTouch = offset => guest.Give(offset, 1, shift: 4);
        Assert.Equal((7u, 4u), (guest.Read(2), guest.Read(3)));
        guest.Memory.Revoke(0, ulong.MaxValue);
        Assert.Empty(guest.Memory.Runs);
        Assert.Equal(2, guest.Memory.Counts.Revocations);

        // Nothing is there: nothing to take back.
        guest.Memory.Revoke(0, 8 * Page);
        Assert.Equal(2, guest.Memory.Counts.Revocations);
        Assert.Null(guest.Memory.Verify());
    }

    [Fact]
    public void A_grant_may_be_more_than_the_page_and_again_and_part_of_it_revoked()
    {
        using Grantor guest = new(1024);
        guest.OnTouch = offset => guest.Give(offset & ~0x1F_FFFFUL, 512);
        Assert.Equal((101u, 512u, 600u), (guest.Read(100), guest.Read(511), guest.Read(599)));
        Assert.Equal(2, guest.Memory.Counts.Faults);
        Assert.Single(guest.Memory.Runs);
        guest.Give(0, 512);
        Assert.Null(guest.Memory.Verify());
        guest.Memory.Revoke(10 * Page, Page);
        Assert.Equal(2, guest.Memory.Runs.Count);
        guest.OnTouch = offset => guest.Give(offset, 1);
        Assert.Equal((10u, 11u, 12u), (guest.Read(9), guest.Read(10), guest.Read(11)));
        Assert.Equal((3, 1), (guest.Memory.Counts.Faults, guest.Memory.Runs.Count));
        Assert.Null(guest.Memory.Verify());
    }

    [Fact]
    public void Two_that_touch_one_page_are_both_served_by_one_grant()
    {
        using Grantor guest = new(8);
        using Barrier both = new(2);
        using ManualResetEventSlim first = new();
        guest.OnTouch = offset =>
        {
            first.Wait();
            return guest.Give(offset, 1);
        };
        Aside<uint>[] touches = [.. Enumerable.Range(0, 2).Select(_ => Aside.Run(() =>
        {
            both.SignalAndWait();
            return guest.Read(4);
        }))];
        Assert.DoesNotContain(touches, static t => t.IsOver);
        first.Set();
        Assert.Equal([5u, 5u], touches.Select(static t => t.Result));
        Assert.Equal(1, guest.Memory.Counts.Grants);
    }

    [Fact]
    public void What_is_refused_reads_ones_and_loses_writes_and_is_told_of_once()
    {
        using Grantor guest = new(8);
        guest.OnTouch = static _ => false;
        Assert.Equal((uint.MaxValue, uint.MaxValue), (guest.Read(1), guest.Read(2)));
        Assert.Equal(0, guest.Write(1, 5));
        Assert.Single(guest.Events.Notices);
        Assert.Contains("grants at 0x1000", guest.Events.Notices[0], StringComparison.Ordinal);
        Assert.InRange(guest.Memory.Counts.Refusals, 2, 3);
        Assert.Null(guest.Memory.Verify());

        // Once the guest has dealt with who answers, it finds what it may have by now; the written word is gone.
        guest.OnTouch = null;
        guest.Memory.AskAgain();
        Assert.Empty(guest.Memory.Runs);
        Assert.Equal((2u, 2u), (guest.Read(1), guest.InFile(1)));
    }

    [Fact]
    public void What_is_refused_goes_by_itself_too()
    {
        using Grantor guest = new(8);
        guest.OnTouch = static _ => false;
        Assert.Equal(uint.MaxValue, guest.Read(3));
        Assert.True(SpinWait.SpinUntil(() => guest.Memory.Runs.Count == 0, 20_000));
        guest.OnTouch = null;
        Assert.Equal(4u, guest.Read(3));
    }

    [Fact]
    public void A_guest_that_touches_all_that_is_refused_makes_this_process_take_no_more_than_a_few_pages()
    {
        using Grantor guest = new(512);
        guest.OnTouch = static _ => false;
        for (int page = 0; page < 512; page++)
        {
            Assert.Equal(uint.MaxValue, guest.Read(page));
            Assert.InRange(guest.Memory.Runs.Count, 0, 64);
        }
    }

    [Fact]
    public void Asking_again_time_after_time_lets_a_touch_through()
    {
        using Grantor guest = new(8);
        guest.OnTouch = static _ => false;
        bool stop = false;
        using ManualResetEventSlim polls = new();
        Aside<int> poller = Aside.Run(() =>
        {
            int times = 0;
            for (; !Volatile.Read(ref stop); times++)
            {
                guest.Memory.AskAgain();
                polls.Set();
            }

            return times;
        });
        polls.Wait(TestContext.Current.CancellationToken);
        for (int i = 0; i < 5; i++)
        {
            Assert.Equal(uint.MaxValue, guest.Read(6));
        }

        Volatile.Write(ref stop, true);
        Assert.NotEqual(0, poller.Result);
    }

    [Fact]
    public void A_grant_that_cannot_be_changes_nothing_and_its_touch_is_refused()
    {
        using Grantor guest = new(8);
        Assert.Equal(1u, guest.Read(0));
        using SafeFileDescriptor reading = FileDescriptors.Open($"/proc/self/fd/{guest.File.Number}", OpenFlags.ReadOnly);
        GrantSource source = new(2, reading, 0, true);
        Assert.Equal(Errno.EACCES, guest.Memory.Grant(0, Page, source));
        Assert.Equal(Errno.EINVAL, guest.Memory.Grant(0, 9 * Page, source));
        Assert.Equal(Errno.EINVAL, guest.Memory.Grant(8 * Page, Page, source));
        Assert.Equal(Errno.EINVAL, guest.Memory.Grant(0, 0, source));
        Assert.Equal(Errno.EINVAL, guest.Memory.Grant(1, Page, source));
        Assert.Equal(Errno.EINVAL, guest.Memory.Grant(ulong.MaxValue - Page + 1, 2 * Page, source));
        Assert.Equal(Errno.EINVAL, guest.Memory.Grant(0, Page, source with { Offset = 1 }));
        Assert.Null(guest.Memory.Verify());
        Assert.Equal(1u, guest.Read(0));
        guest.OnTouch = offset => guest.Memory.Grant(offset, Page, source) == 0;
        Assert.Equal(uint.MaxValue, guest.Read(3));
    }

    [Fact]
    public void The_oldest_run_goes_when_there_are_too_many_and_comes_back_when_it_is_touched()
    {
        NoticedEvents events = new();
        FaultPager? pager = FaultPager.TryStart("few", events, out string whyNot, mostRuns: 4);
        Assert.SkipWhen(pager is null, whyNot);
        using Grantor guest = new(64, pager);
        for (int page = 0; page < 64; page += 2)
        {
            Assert.Equal((uint)page + 1, guest.Read(page));
            Assert.InRange(guest.Memory.Runs.Count, 1, 4);
            Assert.Null(guest.Memory.Verify());
        }

        Assert.Equal(1u, guest.Read(0));
        Assert.Equal(0ul, guest.Memory.Runs[0].Offset);
    }

    [Fact]
    public void A_source_that_is_cut_ends_nobody()
    {
        using TemporaryFile file = new(new byte[4 * (int)Page]);
        using SafeFileDescriptor source = FileDescriptors.Open(file.Path, OpenFlags.ReadWrite);
        using Grantor guest = new(4);
        guest.OnTouch = offset => MemoryFile.TryLength(source, out ulong length) == 0 && offset < length
            && guest.Memory.Grant(offset, Page, new GrantSource(3, source, offset, true)) == 0;
        Assert.Equal((0u, 0u), (guest.Read(0), guest.Read(1)));
        using (FileStream cut = new(file.Path, FileMode.Open, FileAccess.ReadWrite))
        {
            cut.SetLength((long)Page);
        }

        byte[] bytes = new byte[4];
        Assert.Equal(Errno.EFAULT, GuardedCopy.TryRead(guest.Memory.Address + Page, bytes));
        Assert.True(guest.Memory.Repair());
        Assert.Equal((0u, uint.MaxValue), (guest.Read(0), guest.Read(1)));
        Assert.False(guest.Memory.Repair());
    }

    [Fact]
    public void A_write_to_what_is_granted_for_reading_is_lost()
    {
        using Grantor guest = new(4);
        guest.OnTouch = offset => guest.Give(offset, 1, isWritable: false);
        Assert.Equal(2u, guest.Read(1));
        Assert.Equal(Errno.EFAULT, guest.Write(1, 5));
        Assert.True(guest.Memory.Repair());
        Assert.Equal(0, guest.Write(1, 5));
        Assert.True(SpinWait.SpinUntil(() => guest.Read(1) == 2, 20_000));
        Assert.Equal(2u, guest.InFile(1));
        Assert.Null(guest.Memory.Verify());
    }

    [Fact]
    public void Memory_lives_longer_than_its_pager_and_answers_until_its_end()
    {
        using Grantor guest = new(4);
        guest.Pager.Dispose();
        Assert.Equal(2u, guest.Read(1));
        guest.Memory.Dispose();
        Assert.Equal(Errno.ENODEV, guest.Memory.Grant(0, Page, new GrantSource(1, guest.File, 0, true)));
        guest.Memory.Revoke(0, Page);
        Assert.Null(guest.Memory.Verify());
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void Touches_that_race_with_revocations_see_what_is_granted_and_never_what_was_unless_nothing_is_revoked(bool revokes)
    {
        const int Rounds = 1000;
        using Grantor guest = new(8);
        Lock books = new();
        int granting = 0;
        int settled = 0;
        guest.OnTouch = offset =>
        {
            // The round's page is granted before a later round takes it back.
            lock (books)
            {
                return guest.Give(offset, 1, shift: granting % 8);
            }
        };
        Begin(0);
        bool stop = false;
        int touches = 0;
        Aside<int>[] touchers = [.. Enumerable.Range(0, 2).Select(_ => Aside.Run(() =>
        {
            int stale = 0;
            while (!Volatile.Read(ref stop))
            {
                int least = Volatile.Read(ref settled);
                uint value = guest.Read(0);
                stale += value < (uint)least || value > Rounds ? 1 : 0;
                Interlocked.Increment(ref touches);
            }

            return stale;
        }))];
        for (int round = 1; round <= Rounds; round++)
        {
            Begin(round);
            guest.Memory.Revoke(0, revokes ? Page : 0);
            Volatile.Write(ref settled, round);

            // Now and then somebody touches within the round; one that began before it does not count.
            int before = Volatile.Read(ref touches);
            while (round % 8 == 1 && Volatile.Read(ref touches) - before <= touchers.Length)
            {
                Assert.DoesNotContain(touchers, static t => t.IsOver);
                Thread.Yield();
            }
        }

        Volatile.Write(ref stop, true);
        Assert.Equal(revokes, touchers.Sum(static t => t.Result) == 0);
        Assert.InRange(guest.Memory.Counts.Revocations, revokes ? 1 : 0, revokes ? Rounds : 0);
        Assert.Null(guest.Memory.Verify());

        // Each round has a page of the source, which says its number.
        void Begin(int round)
        {
            lock (books)
            {
                Assert.Equal(4, FileDescriptors.TryWriteAt(guest.File, (ulong)(round % 8) * Page, BitConverter.GetBytes(round)));
                granting = round;
            }
        }
    }
}
