namespace Aperture.TestKit;

/// <summary>That a path which runs at each exit allocates nothing.</summary>
public static class Allocations
{
    private const int Rounds = 100_000;

    /// <summary>Runs <paramref name="body"/> often. The first round may allocate (type initialisers, lock internals); none after it does.</summary>
    public static void AssertNone(Action body)
    {
        body();
        long before = GC.GetAllocatedBytesForCurrentThread();
        for (int i = 0; i < Rounds; i++)
        {
            body();
        }

        Assert.Equal(0, GC.GetAllocatedBytesForCurrentThread() - before);
    }
}
