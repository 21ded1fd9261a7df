using System.Globalization;

namespace Aperture.Memory;

/// <summary>How much memory the host has (proc(5), /proc/meminfo).</summary>
internal static class HostMemory
{
    /// <summary>The host's memory in bytes, or null when it does not say.</summary>
    internal static ulong? TotalBytes()
    {
        try
        {
            using StreamReader reader = new("/proc/meminfo");
            while (reader.ReadLine() is { } line)
            {
                if (TryParseTotal(line, out ulong bytes))
                {
                    return bytes;
                }
            }
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            // Then the check is left to mmap and to the guest's first touch.
        }

        return null;
    }

    /// <summary>Reads the line <c>MemTotal:       24684096 kB</c>.</summary>
    internal static bool TryParseTotal(ReadOnlySpan<char> line, out ulong bytes)
    {
        const string Key = "MemTotal:";
        bytes = 0;
        if (!line.StartsWith(Key, StringComparison.Ordinal) || !line.EndsWith(" kB", StringComparison.Ordinal)
            || !ulong.TryParse(line[Key.Length..^3].Trim(), NumberStyles.None, CultureInfo.InvariantCulture, out ulong kilobytes)
            || kilobytes > ulong.MaxValue / 1024)
        {
            return false;
        }

        bytes = kilobytes * 1024;
        return true;
    }
}
