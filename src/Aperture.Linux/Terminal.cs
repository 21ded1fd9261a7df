using System.Runtime.InteropServices;

namespace Aperture.Linux;

/// <summary>A terminal in raw mode while a guest owns it, and its size (termios(3), ioctl_tty(2)).</summary>
public static partial class Terminal
{
    // TCSANOW of asm-generic/termbits.h.
    private const int Now = 0;

    // TIOCGWINSZ of asm-generic/ioctls.h.
    private const nuint GetWindowSize = 0x5413;

    // ISIG and OPOST: what the two kinds of raw mode differ in (asm-generic/termbits.h).
    private const uint SignalKeys = 1;
    private const uint OutputProcessing = 1;

    /// <summary>True when <paramref name="file"/> is a terminal.</summary>
    public static bool IsTerminal(SafeFileDescriptor file) => IsATty(file) == 1;

    /// <summary>
    /// Puts <paramref name="file"/> into raw mode: every key goes to the reader at once, unechoed. With <paramref name="keepSignals"/> the keys that
    /// raise signals (Ctrl-C, Ctrl-Z) still do. Output keeps its newline processing.
    /// </summary>
    /// <returns>What puts the former mode back: dispose it, from any thread and as often as you like, on every way out.</returns>
    /// <exception cref="LinuxException">Not a terminal.</exception>
    public static unsafe TerminalMode EnterRawMode(SafeFileDescriptor file, bool keepSignals = false)
    {
        ArgumentNullException.ThrowIfNull(file);
        Termios before = default;

        // SAFETY: Termios is a local of glibc's struct size (the ABI probe holds it to that).
        if (GetAttributes(file, &before) != 0)
        {
            throw new LinuxException("cannot read the terminal's mode", Marshal.GetLastPInvokeError());
        }

        Termios raw = before;
        MakeRaw(&raw);
        raw.OutputFlags |= before.OutputFlags & OutputProcessing;
        raw.LocalFlags |= keepSignals ? before.LocalFlags & SignalKeys : 0;
        Set(file, raw);
        return new TerminalMode(file, before);
    }

    /// <summary>The terminal's size in character cells; false when <paramref name="file"/> is none.</summary>
    public static unsafe bool TryGetSize(SafeFileDescriptor file, out int columns, out int rows)
    {
        WindowSize size = default;

        // SAFETY: the request fills one struct winsize, which the local is.
        bool known = Control(file, GetWindowSize, &size) == 0;
        (columns, rows) = (size.Columns, size.Rows);
        return known;
    }

    /// <summary>The whole mode as bytes, to compare.</summary>
    internal static unsafe byte[] Snapshot(SafeFileDescriptor file)
    {
        Termios mode = default;

        // SAFETY: as in EnterRawMode; the local is then read as the bytes that it is.
        return GetAttributes(file, &mode) == 0
            ? new ReadOnlySpan<byte>(&mode, sizeof(Termios)).ToArray()
            : throw new LinuxException("cannot read the terminal's mode", Marshal.GetLastPInvokeError());
    }

    internal static unsafe void Set(SafeFileDescriptor file, Termios mode)
    {
        // SAFETY: the mode is a local copy of glibc's struct size.
        if (SetAttributes(file, Now, &mode) != 0)
        {
            throw new LinuxException("cannot set the terminal's mode", Marshal.GetLastPInvokeError());
        }
    }

    [LibraryImport("libc", EntryPoint = "isatty")]
    private static partial int IsATty(SafeFileDescriptor file);

    [LibraryImport("libc", EntryPoint = "tcgetattr", SetLastError = true)]
    private static unsafe partial int GetAttributes(SafeFileDescriptor file, Termios* mode);

    [LibraryImport("libc", EntryPoint = "tcsetattr", SetLastError = true)]
    private static unsafe partial int SetAttributes(SafeFileDescriptor file, int when, Termios* mode);

    [LibraryImport("libc", EntryPoint = "cfmakeraw")]
    private static unsafe partial void MakeRaw(Termios* mode);

    [LibraryImport("libc", EntryPoint = "ioctl", SetLastError = true)]
    private static unsafe partial int Control(SafeFileDescriptor file, nuint request, WindowSize* size);

    // struct termios of glibc on x86-64: the control characters and speeds behind the four flag words are carried, never looked at.
    [StructLayout(LayoutKind.Sequential)]
    internal unsafe struct Termios
    {
        public uint InputFlags;
        public uint OutputFlags;
        public uint ControlFlags;
        public uint LocalFlags;
        public fixed byte Rest[44];
    }

    [StructLayout(LayoutKind.Sequential)]
    internal struct WindowSize
    {
        public ushort Rows;
        public ushort Columns;
        public ushort WidthPixels;
        public ushort HeightPixels;
    }
}

/// <summary>A terminal's former mode; disposing puts it back. Thread-safe; only the first call acts.</summary>
public sealed class TerminalMode : IDisposable
{
    private readonly SafeFileDescriptor _file;
    private readonly Terminal.Termios _before;
    private int _restored;

    internal TerminalMode(SafeFileDescriptor file, Terminal.Termios before)
    {
        _file = file;
        _before = before;
    }

    /// <summary>Puts the former mode back. Never throws: a terminal that is gone needs none.</summary>
    public void Dispose()
    {
        if (Interlocked.Exchange(ref _restored, 1) != 0)
        {
            return;
        }

        try
        {
            Terminal.Set(_file, _before);
        }
        catch (Exception failure) when (failure is LinuxException or ObjectDisposedException)
        {
            // Nobody is left who could see it.
        }
    }
}
