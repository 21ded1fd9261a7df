using Aperture.Lab;

namespace Aperture.Guest.Tests;

/// <summary>
/// The machines of the lab that the tests of this project share, as many at once as APERTURE_LAB_SLOTS says. A machine that is up serves one test after
/// the other; one that hung, that is not as it was at first, or whose test failed serves no other.
/// </summary>
internal static class SharedLab
{
    private static readonly SemaphoreSlim Free = new(LabRunner.SlotsByEnvironment);
    private static readonly Lock Gate = new();
    private static readonly List<LabSession> Idle = [];
    private static int _taken;

    /// <summary>Runs a script of bash in such a machine. One that does not end in time is repeated in a fresh machine, and that is reported.</summary>
    /// <param name="script">See lab/serve for what it finds.</param>
    /// <param name="limit">Its time, without that of the machine's start.</param>
    /// <param name="retries">How often it is repeated.</param>
    public static async Task<LabJob> RunAsync(string script, TimeSpan limit, int retries = 1)
    {
        LabArtifacts artifacts = LabArtifacts.Locate();
        await using Slot slot = await TakeAsync();
        for (int attempt = 1; ; attempt++)
        {
            LabSession session = Pop() ?? await LabSession.StartAsync(artifacts);
            session.LastTest = TestContext.Current.Test?.UniqueID;
            LabJob? job = await session.RunAsync(script, limit);
            if (job is { ExitCode: not 124 } || (job is not null && attempt > retries))
            {
                await KeepAsync(session, job);
                return job;
            }

            await session.DisposeAsync();
            string late = $"a job of {TestContext.Current.Test?.TestDisplayName} did not end within {limit.TotalSeconds:F0} s";
            Say($"{late} (attempt {attempt} of {retries + 1}): {Tail(job?.Output + job?.Error)}");
            Assert.True(attempt <= retries, $"the lab did not end the job within {limit.TotalSeconds:F0} s, {attempt} times in a row");
        }
    }

    /// <summary>The right to start one machine oneself, until it is disposed of.</summary>
    public static async Task<IAsyncDisposable> LendAsync()
    {
        Slot slot = await TakeAsync();
        LabSession? surplus;
        lock (Gate)
        {
            surplus = Idle.Count + _taken > LabRunner.SlotsByEnvironment ? Pop() : null;
        }

        if (surplus is not null)
        {
            await surplus.DisposeAsync();
        }

        return slot;
    }

    /// <summary>Ends the idle machines that <paramref name="condition"/> holds for.</summary>
    public static async Task EndAsync(Predicate<LabSession> condition)
    {
        List<LabSession> ended;
        lock (Gate)
        {
            ended = Idle.FindAll(condition);
            Idle.RemoveAll(condition);
        }

        foreach (LabSession session in ended)
        {
            await session.DisposeAsync();
        }
    }

    private static async Task<Slot> TakeAsync()
    {
        await Free.WaitAsync();
        lock (Gate)
        {
            _taken++;
        }

        return new Slot();
    }

    private static LabSession? Pop()
    {
        lock (Gate)
        {
            if (Idle.Count == 0)
            {
                return null;
            }

            LabSession session = Idle[^1];
            Idle.RemoveAt(Idle.Count - 1);
            return session;
        }
    }

    // A machine that is not as it was, or whose job had to be ended, serves no other.
    private static async Task KeepAsync(LabSession session, LabJob job)
    {
        if (job.Dirt.Length > 0 || job.ExitCode == 124)
        {
            Say($"the lab's machine is not as it was before {TestContext.Current.Test?.TestDisplayName}, the next test gets another: {job.Dirt}");
            await session.DisposeAsync();
            return;
        }

        lock (Gate)
        {
            Idle.Add(session);
        }
    }

    private static void Say(string line) => Console.Error.WriteLine("lab: " + line);

    private static string Tail(string text) => text.Length <= 400 ? text : "..." + text[^400..];

    private sealed class Slot : IAsyncDisposable
    {
        public ValueTask DisposeAsync()
        {
            lock (Gate)
            {
                _taken--;
            }

            Free.Release();
            return ValueTask.CompletedTask;
        }
    }
}
