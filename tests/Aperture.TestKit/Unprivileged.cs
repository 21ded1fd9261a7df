using System.Runtime.ExceptionServices;
using System.Runtime.InteropServices;

namespace Aperture.TestKit;

/// <summary>Code that the permissions of files bind, although root runs the tests.</summary>
public static class Unprivileged
{
    // linux/capability.h: _LINUX_CAPABILITY_VERSION_3, CAP_DAC_OVERRIDE and CAP_DAC_READ_SEARCH.
    private const uint Version = 0x2008_0522;
    private const uint FilePermissions = (1 << 1) | (1 << 2);

    /// <summary>Runs <paramref name="body"/> on a thread without the capabilities to pass over the permissions of files; what it throws is thrown
    /// here.</summary>
    public static void Run(Action body)
    {
        ExceptionDispatchInfo? failure = null;
        Thread thread = new(() =>
        {
            try
            {
                Drop();
                body();
            }
            catch (Exception exception)
            {
                failure = ExceptionDispatchInfo.Capture(exception);
            }
        });
        thread.Start();
        thread.Join();
        failure?.Throw();
    }

    private static void Drop()
    {
        // Capabilities are a thread's own (capabilities(7)). Two times effective, permitted, inheritable: the low words and the high ones.
        uint[] header = [Version, 0];
        uint[] sets = new uint[6];
        Assert.Equal(0, GetCapabilities(header, sets));
        sets[0] &= ~FilePermissions;
        Assert.Equal(0, SetCapabilities(header, sets));
    }

    [DllImport("libc", EntryPoint = "capget")]
    private static extern int GetCapabilities(uint[] header, [Out] uint[] sets);

    [DllImport("libc", EntryPoint = "capset")]
    private static extern int SetCapabilities(uint[] header, uint[] sets);
}
