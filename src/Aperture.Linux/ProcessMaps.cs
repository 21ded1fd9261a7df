using System.Globalization;

namespace Aperture.Linux;

/// <summary>A mapping of this process.</summary>
/// <param name="Start">Its first byte.</param>
/// <param name="Size">Bytes.</param>
/// <param name="IsReadable">It may be read.</param>
/// <param name="IsWritable">It may be written.</param>
/// <param name="IsShared">What is written gets to the file.</param>
/// <param name="Inode">Of its file; 0 for memory of no file.</param>
/// <param name="FileOffset">Of its first byte in the file.</param>
public readonly record struct ProcessMapping(HostAddress Start, ulong Size, bool IsReadable, bool IsWritable, bool IsShared, ulong Inode, ulong FileOffset);

/// <summary>What this process has mapped, as the kernel tells it (proc_pid_maps(5)).</summary>
public static class ProcessMaps
{
    /// <summary>The mappings that have a byte of a range, cut to it, by address.</summary>
    /// <exception cref="IOException">This process has no /proc.</exception>
    public static IReadOnlyList<ProcessMapping> Of(HostAddress start, ulong size)
    {
        List<ProcessMapping> found = [];
        foreach (string line in File.ReadLines("/proc/self/maps"))
        {
            if (TryParse(line, out ProcessMapping mapping) && mapping.Start.Value < start.Value + size && mapping.Start.Value + mapping.Size > start.Value)
            {
                ulong skip = mapping.Start < start ? start.Value - mapping.Start.Value : 0;
                ulong end = Math.Min(mapping.Start.Value + mapping.Size, start.Value + size);
                found.Add(mapping with
                {
                    Start = mapping.Start + skip,
                    Size = end - mapping.Start.Value - skip,
                    FileOffset = mapping.Inode == 0 ? 0 : mapping.FileOffset + skip,
                });
            }
        }

        return found;
    }

    /// <summary>Reads a line such as <c>7f12a000-7f12b000 rw-s 00002000 00:01 1027 /memfd:x (deleted)</c>.</summary>
    internal static bool TryParse(string line, out ProcessMapping mapping)
    {
        mapping = default;
        string[] parts = line.Split(' ', 6, StringSplitOptions.RemoveEmptyEntries);
        string[] ends = parts.Length < 5 ? [] : parts[0].Split('-');
        if (ends.Length != 2 || !TryHex(ends[0], out ulong start) || !TryHex(ends[1], out ulong end) || !TryHex(parts[2], out ulong offset)
            || !ulong.TryParse(parts[4], NumberStyles.None, CultureInfo.InvariantCulture, out ulong inode) || end <= start || parts[1].Length < 4)
        {
            return false;
        }

        mapping = new ProcessMapping(new HostAddress(start), end - start, parts[1][0] == 'r', parts[1][1] == 'w', parts[1][3] == 's', inode, offset);
        return true;
    }

    private static bool TryHex(string text, out ulong value) => ulong.TryParse(text, NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture, out value);
}
