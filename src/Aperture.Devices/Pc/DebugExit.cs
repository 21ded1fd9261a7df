namespace Aperture.Devices.Pc;

/// <summary>
/// <c>--device debug-exit,port=N</c>: a guest's way to end the machine with a verdict. A write of v (1, 2 or 4 bytes) ends it with
/// exit code <c>(v &lt;&lt; 1) | 1</c>, masked to the 8 bits that a process exit code has; so v = 0 gives 1 and success is up to the caller to name.
/// Reads give zero.
/// </summary>
/// <param name="control">What the exit is asked of.</param>
public sealed class DebugExit(IMachineControl control) : IAccessHandler
{
    /// <summary>Ports taken.</summary>
    public const ushort Length = 4;

    /// <summary>The process exit code that a write of <paramref name="value"/> ends with.</summary>
    public static int ExitCode(ulong value) => (int)(((value << 1) | 1) & 0xFF);

    /// <inheritdoc/>
    public AccessResult Read(ulong offset, int size, out ulong value)
    {
        bool claimed = AccessLanes.Starts(offset, size, Length);
        value = claimed ? 0 : ulong.MaxValue;
        return claimed ? AccessResult.Ok : AccessResult.Unclaimed;
    }

    /// <inheritdoc/>
    public AccessResult Write(ulong offset, int size, ulong value)
    {
        if (!AccessLanes.Starts(offset, size, Length))
        {
            return AccessResult.Unclaimed;
        }

        control.Request(MachineRequest.Exit, ExitCode(value & AccessWidth.AllOnes(size)), "the guest wrote the debug-exit port");
        return AccessResult.Ok;
    }
}
