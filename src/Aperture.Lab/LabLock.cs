namespace Aperture.Lab;

/// <summary>The right to run the lab, held by one process of a user at a time, or by as many as asked for, through locks on files.</summary>
internal sealed class LabLock : IDisposable
{
    private static readonly TimeSpan Poll = TimeSpan.FromMilliseconds(200);
    private readonly FileStream _file;

    private LabLock(FileStream file) => _file = file;

    /// <summary>The lock's file: in the user's runtime folder where there is one.</summary>
    public static string DefaultPath() => Path.Combine(
        Environment.GetEnvironmentVariable("XDG_RUNTIME_DIR") is { Length: > 0 } folder && Directory.Exists(folder) ? folder : Path.GetTempPath(),
        $"aperture-lab-{Environment.UserName}.lock");

    /// <summary>Waits until one of the locks is free; says so once when it has to wait.</summary>
    /// <param name="path">The first lock's file; the others' have a number more.</param>
    /// <param name="slots">How many may run at once.</param>
    /// <param name="progress">Receives the line about waiting.</param>
    /// <param name="cancellation">Ends the wait.</param>
    public static async Task<LabLock> AcquireAsync(string path, int slots, TextWriter progress, CancellationToken cancellation)
    {
        bool said = false;
        while (true)
        {
            for (int slot = 1; slot <= slots; slot++)
            {
                if (Try(slot == 1 ? path : $"{path}.{slot}") is { } held)
                {
                    return held;
                }
            }
            if (!said)
            {
                await progress.WriteLineAsync($"lab: another lab run holds {path}; waiting for its end, because two at once slow each other");
            }

            said = true;
            await Task.Delay(Poll, cancellation);
        }
    }

    private static LabLock? Try(string path)
    {
        try
        {
            // FileShare.None is flock(LOCK_EX | LOCK_NB) on Unix: it ends with its process.
            return new LabLock(new FileStream(path, FileMode.OpenOrCreate, FileAccess.ReadWrite, FileShare.None));
        }
        catch (IOException) when (File.Exists(path))
        {
            return null;
        }
    }

    /// <inheritdoc/>
    public void Dispose() => _file.Dispose();
}
