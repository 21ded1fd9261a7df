namespace Aperture.Memory.Tests;

public class UnclaimedLogTests
{
    [Fact]
    public void The_first_addresses_are_listed_in_order_and_all_accesses_are_counted()
    {
        List<UnclaimedAccess> told = [];
        UnclaimedLog log = new(told.Add);
        for (int round = 0; round < 2; round++)
        {
            for (ulong i = 0; i < 100; i++)
            {
                log.Record(new GuestAddress(i * 4), 4, isWrite: i % 2 == 1);
            }
        }

        Assert.Equal(200UL, log.Total);
        IReadOnlyList<UnclaimedAccess> listed = log.Listed();
        Assert.Equal(UnclaimedLog.Capacity, listed.Count);
        Assert.Equal(UnclaimedLog.Capacity, told.Count);
        Assert.All(listed, (entry, i) => Assert.Equal(new UnclaimedAccess(new GuestAddress((ulong)i * 4), 4, i % 2 == 1, 2), entry));
    }

    [Fact]
    public void Who_loses_the_race_to_list_an_address_counts_onto_the_winners_entry()
    {
        int told = 0;
        UnclaimedLog log = new(_ => told++);
        log.List(new GuestAddress(4), 2, isWrite: true); // both threads saw the address unlisted and came here
        log.List(new GuestAddress(4), 1, isWrite: false);
        Assert.Equal(new UnclaimedAccess(new GuestAddress(4), 2, true, 2), Assert.Single(log.Listed()));
        Assert.Equal(1, told);
    }

    [Fact]
    public void Threads_that_race_for_one_address_list_it_once_and_lose_no_count()
    {
        const int Threads = 4;
        const int Rounds = 500;
        int told = 0;
        UnclaimedLog[] logs = [.. Enumerable.Range(0, Rounds).Select(_ => new UnclaimedLog(_ => Interlocked.Increment(ref told)))];
        using Barrier start = new(Threads);
        Thread[] threads = [.. Enumerable.Range(0, Threads).Select(_ => new Thread(() =>
        {
            foreach (UnclaimedLog log in logs)
            {
                start.SignalAndWait();
                for (int i = 0; i < 20; i++)
                {
                    log.Record(new GuestAddress((ulong)(i % 10)), 1, isWrite: false);
                }
            }
        }))];
        Array.ForEach(threads, thread => thread.Start());
        Array.ForEach(threads, thread => thread.Join());
        Assert.Equal(10 * Rounds, told);
        foreach (UnclaimedLog log in logs)
        {
            Assert.Equal(20UL * Threads, log.Total);
            Assert.Equal(10, log.Listed().Count);
            Assert.All(log.Listed(), entry => Assert.Equal(2UL * Threads, entry.Count));
        }
    }
}
