namespace Aperture.TestKit;

/// <summary>
/// Whether code allocates, measured on its own thread. What is counted is wrong by up to a thread's allocation buffer (8 KiB) when the collector runs
/// meanwhile, as it does
/// for the tests beside this one, and the runtime allocates now and then for itself (type initialisers, lock internals, recompiled code). A series is
/// therefore cut into windows:
/// those with a collection say nothing, and of the others nearly all must be without a byte. Code that allocates does so in every window.
/// </summary>
public static class Allocations
{
    private const int Series = 50;

    /// <summary>Fails if <paramref name="body"/>, called <paramref name="times"/> times after a first time, allocates.</summary>
    public static void None(Action body, int times = 100_000)
    {
        int inWindow = Math.Max(1, times / AllocationWindows.Count);
        for (int i = 0; i < inWindow; i++)
        {
            body();
        }

        None(windows =>
        {
            windows.Mark();
            for (int window = 0; window < AllocationWindows.Count; window++)
            {
                for (int i = 0; i < inWindow; i++)
                {
                    body();
                }

                windows.Mark();
            }
        });
    }

    /// <summary>The same for a series that ends its windows itself: it calls <see cref="AllocationWindows.Mark"/> at the first one's begin and at the end of
    /// each.</summary>
    public static void None(Action<AllocationWindows> series)
    {
        for (int attempt = 0; attempt < Series; attempt++)
        {
            AllocationWindows windows = new();
            series(windows);
            if (windows.Conclusive)
            {
                Assert.True(windows.Allocating <= AllocationWindows.Allowed, $"bytes allocated in each window: {windows}");
                return;
            }
        }

        Assert.Fail($"the collector ran in nearly every window of {Series} series");
    }
}

/// <summary>Windows of one thread's time, one after the other, and what was allocated in each.</summary>
public sealed class AllocationWindows
{
    /// <summary>How many there are.</summary>
    public const int Count = 10;

    /// <summary>In how many the runtime may have allocated for itself.</summary>
    public const int Allowed = 2;

    private readonly long[] _bytes = new long[Count + 1];
    private readonly int[] _collections = new int[Count + 1];
    private int _marks;

    /// <summary>True when windows without a collection are enough to tell the runtime's allocations from the code's.</summary>
    public bool Conclusive => Quiet().Count() > Allowed;

    /// <summary>Windows without a collection in which something was allocated.</summary>
    public int Allocating => Quiet().Count(bytes => bytes != 0);

    /// <summary>Ends a window and begins the next. Allocates nothing.</summary>
    public void Mark()
    {
        _bytes[_marks] = GC.GetAllocatedBytesForCurrentThread();
        _collections[_marks] = GC.CollectionCount(0);
        _marks++;
    }

    /// <inheritdoc/>
    public override string ToString() => string.Join(' ', Quiet());

    private IEnumerable<long> Quiet()
    {
        Assert.Equal(Count + 1, _marks);
        return Enumerable.Range(0, Count).Where(i => _collections[i] == _collections[i + 1]).Select(i => _bytes[i + 1] - _bytes[i]);
    }
}
