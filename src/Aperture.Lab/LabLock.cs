namespace Aperture.Lab;

/// <summary>The right to run the lab, held by one process of a user at a time through a lock on a file.</summary>
internal sealed class LabLock : IDisposable
{
    private static readonly TimeSpan Poll = TimeSpan.FromMilliseconds(200);
    private readonly FileStream _file;

    private LabLock(FileStream file) => _file = file;

    /// <summary>The lock's file: in the user's runtime folder where there is one.</summary>
    public static string DefaultPath() => Path.Combine(
        Environment.GetEnvironmentVariable("XDG_RUNTIME_DIR") is { Length: > 0 } folder && Directory.Exists(folder) ? folder : Path.GetTempPath(),
        $"aperture-lab-{Environment.UserName}.lock");

    /// <summary>Waits until no other process holds the lock; says so once when it has to wait.</summary>
    public static async Task<LabLock> AcquireAsync(string path, TextWriter progress, CancellationToken cancellation)
    {
        bool said = false;
        while (true)
        {
            try
            {
                // FileShare.None is flock(LOCK_EX | LOCK_NB) on Unix: it ends with its process.
                return new LabLock(new FileStream(path, FileMode.OpenOrCreate, FileAccess.ReadWrite, FileShare.None));
            }
            catch (IOException) when (File.Exists(path))
            {
                if (!said)
                    await progress.WriteLineAsync($"lab: another lab run holds {path}; waiting for its end, because two at once slow each other");
                said = true;
            }
            await Task.Delay(Poll, cancellation);
        }
    }

    /// <inheritdoc/>
    public void Dispose() => _file.Dispose();
}
