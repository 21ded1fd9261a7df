using Aperture.Assignment;
using Aperture.Linux;

namespace Aperture.TestKit.Parts.Assigned;

/// <summary>An I/O address space with type 1 version 2's rules: whole pages, no overlap, taken back exactly as made. Fails on demand.</summary>
public sealed class FakeIommu : IIommuMap
{
    public SortedDictionary<ulong, (AddressRange Range, HostAddress Host, bool Writable)> Table { get; } = [];

    public List<string> Calls { get; } = [];

    /// <summary>Asked before each mapping that would succeed: an errno, or 0.</summary>
    public Func<AddressRange, int> Refuses { get; set; } = static _ => 0;

    public Func<AddressRange, int> Keeps { get; set; } = static _ => 0;

    public IReadOnlyList<AddressRange> Ranges { get; set; } = [];

    public ulong PageSize => 4096;

    /// <summary>Calls against the rules.</summary>
    public int Violations { get; private set; }

    // The sentences themselves are tested where they are made.
    public string WhyNot(int errno, AddressRange range, ulong locked, bool isDevice) =>
        IovaCheck.WhyNot(range, Ranges) ?? $"{Errno.Name(errno)}, {locked} bytes locked, {(isDevice ? "device memory" : "RAM")}";

    public int Map(AddressRange range, HostAddress host, bool writable)
    {
        Calls.Add($"map {range}");
        if (((range.Start.Value | range.Size | host.Value) & 4095) != 0)
        {
            Violations++;
            return Errno.EINVAL;
        }

        if (Table.Values.Any(other => other.Range.Overlaps(range)))
        {
            Violations++;
            return Errno.EEXIST;
        }

        if (Ranges.Count != 0 && !Ranges.Any(allowed => allowed.Contains(range)))
        {
            return Errno.EINVAL;
        }

        int errno = Refuses(range);
        if (errno == 0)
        {
            Table.Add(range.Start.Value, (range, host, writable));
        }

        return errno;
    }

    public int Unmap(AddressRange range)
    {
        Calls.Add($"unmap {range}");
        if (!Table.TryGetValue(range.Start.Value, out var mapping) || mapping.Range != range)
        {
            Violations++;
            return Errno.ENOENT;
        }

        int errno = Keeps(range);
        if (errno == 0)
        {
            Table.Remove(range.Start.Value);
        }

        return errno;
    }

    public void Dispose() => Table.Clear();
}
