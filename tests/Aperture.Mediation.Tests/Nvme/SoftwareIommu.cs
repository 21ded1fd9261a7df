using Aperture.Assignment;
using Aperture.Linux;

namespace Aperture.Mediation.Tests.Nvme;

/// <summary>An IOMMU in software: a drive that goes through it reaches what is mapped and nothing else; whatever else it tries is noted.</summary>
internal sealed class SoftwareIommu : IIommuMap
{
    private readonly Lock _gate = new();
    private readonly List<(AddressRange Range, HostAddress Host, bool Writable)> _mappings = [];
    private readonly List<string> _faults = [];

    public IReadOnlyList<AddressRange> Ranges { get; set; } = [];

    public ulong PageSize => 4096;

    /// <summary>What the next mapping is answered with.</summary>
    public int Refusal { get; set; }

    public string[] Faults
    {
        get
        {
            lock (_gate)
            {
                return [.. _faults];
            }
        }
    }

    public int Count
    {
        get
        {
            lock (_gate)
            {
                return _mappings.Count;
            }
        }
    }

    /// <summary>Mappings wait for it.</summary>
    public ManualResetEventSlim? Slow { get; set; }

    public int Map(AddressRange range, HostAddress host, bool writable)
    {
        Slow?.Wait();
        lock (_gate)
        {
            if (Refusal != 0)
            {
                return Refusal;
            }

            Assert.Equal(0UL, (range.Start.Value | range.Size | host.Value) & 4095);
            Assert.DoesNotContain(_mappings, m => m.Range.Overlaps(range));
            _mappings.Add((range, host, writable));
            return 0;
        }
    }

    public int Unmap(AddressRange range)
    {
        lock (_gate)
        {
            return _mappings.RemoveAll(m => m.Range == range) == 1 ? 0 : Errno.ENOENT;
        }
    }

    public string WhyNot(int errno, AddressRange range, ulong locked, bool isDevice) => Errno.Name(errno);

    public bool Read(ulong iova, Span<byte> destination)
    {
        lock (_gate)
        {
            return Find(iova, destination.Length, false) is { } host && GuardedCopy.TryRead(host, destination) == 0;
        }
    }

    public bool Write(ulong iova, ReadOnlySpan<byte> source)
    {
        lock (_gate)
        {
            return Find(iova, source.Length, true) is { } host && GuardedCopy.TryWrite(host, source) == 0;
        }
    }

    public void Dispose()
    {
    }

    private HostAddress? Find(ulong iova, int length, bool forWriting)
    {
        AddressRange wanted = new(new GuestAddress(iova), (ulong)length);
        foreach ((AddressRange range, HostAddress host, bool writable) in _mappings)
        {
            if (range.Contains(wanted) && (writable || !forWriting))
            {
                return host + (iova - range.Start.Value);
            }
        }

        _faults.Add($"{(forWriting ? "write" : "read")} of {length} bytes at 0x{iova:x}");
        return null;
    }
}
