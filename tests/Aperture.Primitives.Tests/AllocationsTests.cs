namespace Aperture.Primitives.Tests;

/// <summary>The measure that all tests of allocation use.</summary>
public class AllocationsTests
{
    private object? _kept;

    [Fact]
    public void Code_that_allocates_nothing_passes_while_other_threads_allocate_and_the_collector_runs()
    {
        using CancellationTokenSource over = new();
        Thread[] noise = [.. Enumerable.Range(0, 3).Select(_ => new Thread(() => MakeGarbage(over.Token)))];
        Array.ForEach(noise, thread => thread.Start());
        int sum = 0;
        try
        {
            for (int i = 0; i < 20; i++)
            {
                Allocations.None(() => sum++, times: 10_000);
            }
        }
        finally
        {
            over.Cancel();
            Array.ForEach(noise, thread => thread.Join());
        }
    }

    [Fact]
    public void Code_that_allocates_fails_even_while_the_collector_runs()
    {
        Assert.ThrowsAny<Exception>(() => Allocations.None(() => _kept = new object(), times: 100));
        Assert.ThrowsAny<Exception>(() => Allocations.None(() => _kept = new byte[4000]));
    }

    [Fact]
    public void Code_that_allocates_seldom_fails()
    {
        int calls = 0;
        Assert.ThrowsAny<Exception>(() => Allocations.None(() => _kept = ++calls % 900 == 0 ? new object() : _kept, times: 10_000));
    }

    [Fact]
    public void What_the_runtime_allocates_once_for_itself_is_not_counted()
    {
        int calls = 0;
        Allocations.None(() => _kept = ++calls == 1500 ? new object() : _kept, times: 10_000);
    }

    private void MakeGarbage(CancellationToken over)
    {
        while (!over.IsCancellationRequested)
        {
            Volatile.Write(ref _kept, new byte[500]);
        }
    }
}
