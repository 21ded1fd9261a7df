using System.Runtime.InteropServices;

namespace Aperture.Linux;

/// <summary>What to wait for and what happened (poll(2)).</summary>
[Flags]
public enum PollEvents : short
{
    /// <summary>Nothing.</summary>
    None = 0,

    /// <summary>There is something to read.</summary>
    Readable = 1,

    /// <summary>Writing would not block.</summary>
    Writable = 4,

    /// <summary>An error; reported whether asked for or not.</summary>
    Error = 8,

    /// <summary>The other end is gone; reported whether asked for or not.</summary>
    HangUp = 0x10,

    /// <summary>The descriptor is not open; reported whether asked for or not.</summary>
    Invalid = 0x20,
}

/// <summary>One descriptor of a <see cref="Poll.Wait"/>: struct pollfd.</summary>
[StructLayout(LayoutKind.Sequential)]
public record struct PollItem
{
    private readonly int _descriptor;
    private readonly PollEvents _asked;
    private readonly PollEvents _seen;

    /// <summary>Waits for <paramref name="events"/> on <paramref name="file"/>, which the caller keeps open meanwhile.</summary>
    public PollItem(SafeFileDescriptor file, PollEvents events)
    {
        ArgumentNullException.ThrowIfNull(file);
        _descriptor = file.Number;
        _asked = events;
        _seen = PollEvents.None;
    }

    /// <summary>What was asked for.</summary>
    public readonly PollEvents Asked => _asked;

    /// <summary>What the last wait saw.</summary>
    public readonly PollEvents Seen => _seen;
}

/// <summary>Waits for several descriptors at once (poll(2)).</summary>
public static partial class Poll
{
    /// <summary>
    /// Waits until an item has something to say, or for <paramref name="timeoutMilliseconds"/> (-1: for ever). Interrupted calls are repeated.
    /// </summary>
    /// <returns>How many items have something to say; 0 after the time.</returns>
    /// <exception cref="LinuxException">The call failed.</exception>
    public static unsafe int Wait(Span<PollItem> items, int timeoutMilliseconds)
    {
        long deadline = Environment.TickCount64 + timeoutMilliseconds;

        // SAFETY: the span is pinned for the call, its length is the bound, and PollItem is laid out as struct pollfd (the ABI probe holds it to that).
        fixed (PollItem* first = items)
        {
            while (true)
            {
                int ready = WaitFor(first, (nuint)items.Length, timeoutMilliseconds);
                int errno = ready < 0 ? Marshal.GetLastPInvokeError() : 0;
                if (errno == 0)
                {
                    return ready;
                }

                if (errno != Errno.EINTR)
                {
                    throw new LinuxException("cannot wait for descriptors", errno);
                }

                timeoutMilliseconds = timeoutMilliseconds < 0 ? -1 : (int)Math.Max(0, deadline - Environment.TickCount64);
            }
        }
    }

    [LibraryImport("libc", EntryPoint = "poll", SetLastError = true)]
    private static unsafe partial int WaitFor(PollItem* items, nuint count, int timeoutMilliseconds);
}
