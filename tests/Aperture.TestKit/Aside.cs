namespace Aperture.TestKit;

/// <summary>Runs something on a thread of its own, which the kernel may let wait.</summary>
public static class Aside
{
    /// <summary>Begins it.</summary>
    public static Aside<T> Run<T>(Func<T> body) => new(body);
}

/// <summary>What runs beside a test.</summary>
public sealed class Aside<T>
{
    private readonly Thread _thread;
    private T? _result;
    private Exception? _failure;

    internal Aside(Func<T> body)
    {
        _thread = new Thread(() =>
        {
            try
            {
                _result = body();
            }
            catch (Exception e)
            {
                _failure = e;
            }
        })
        { IsBackground = true };
        _thread.Start();
    }

    /// <summary>True when it has ended.</summary>
    public bool IsOver => !_thread.IsAlive;

    /// <summary>What came of it; waits for its end, which must come.</summary>
    public T Result
    {
        get
        {
            Assert.True(_thread.Join(30_000), "what runs beside the test does not end");
            return _failure is null ? _result! : throw new InvalidOperationException("what runs beside the test failed", _failure);
        }
    }
}
