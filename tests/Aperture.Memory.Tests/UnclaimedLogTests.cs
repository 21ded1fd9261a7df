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
    public void Threads_that_race_for_one_address_list_it_once_and_lose_no_count()
    {
        int told = 0;
        UnclaimedLog log = new(_ => Interlocked.Increment(ref told));
        Thread[] threads = [.. Enumerable.Range(0, 4).Select(_ => new Thread(() =>
        {
            for (int i = 0; i < 10_000; i++)
            {
                log.Record(new GuestAddress((ulong)(i % 50)), 1, isWrite: false);
            }
        }))];
        Array.ForEach(threads, thread => thread.Start());
        Array.ForEach(threads, thread => thread.Join());
        Assert.Equal(40_000UL, log.Total);
        Assert.Equal(50, told);
        Assert.Equal(50, log.Listed().Count);
        Assert.All(log.Listed(), entry => Assert.Equal(800UL, entry.Count));
    }
}
