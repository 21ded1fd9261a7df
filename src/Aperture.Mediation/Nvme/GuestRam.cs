namespace Aperture.Mediation.Nvme;

/// <summary>
/// A guest's memory, to this process and to the drive: each run that its monitor gave with a descriptor is mapped at addresses of the drive's of its own. What
/// is in no such run is out of reach for both. Not thread-safe, and told from outside what is mapped: that takes the kernel long.
/// </summary>
internal sealed class GuestRam(IGuest guest, IovaSpace space)
{
    // By address, disjoint.
    private readonly List<Run> _runs = [];
    private int _last;
    private int _unmapped;

    /// <summary>
    /// True when no run is still to be mapped for the drive. Until then nothing of the guest's memory should be used: what is not mapped is not there.
    /// </summary>
    public bool IsMapped => _unmapped == 0;

    /// <summary>The guest has a run from now on, which is to be mapped for the drive; without <paramref name="host"/> nobody reaches it.</summary>
    public void Add(AddressRange range, HostAddress? host, bool writable)
    {
        _runs.Insert(FirstEndingAtOrAfter(range.Start), new Run(range, host, writable, null));
        _unmapped += host is null ? 0 : 1;
    }

    /// <summary>The next run to map: where it is in this process.</summary>
    public bool TryNextUnmapped(out AddressRange range, out HostAddress host, out bool writable)
    {
        foreach (Run run in _runs)
        {
            if (run is { Host: { } there, Iova: null })
            {
                (range, host, writable) = (run.Range, there, run.IsWritable);
                return true;
            }
        }

        (range, host, writable) = (default, default, false);
        return false;
    }

    /// <summary>A run is mapped; or, with null, cannot be, and is out of reach from now on.</summary>
    public void SetMapped(AddressRange range, Iova? iova)
    {
        int at = FirstEndingAtOrAfter(range.Start);
        _runs[at] = _runs[at] with { Iova = iova, Host = iova is null ? null : _runs[at].Host };
        _unmapped--;
    }

    /// <summary>The drive reaches a run no more; nothing when there is none such.</summary>
    /// <exception cref="ApertureException">The kernel does not take it away from the drive.</exception>
    public void Remove(AddressRange range)
    {
        int at = FirstEndingAtOrAfter(range.Start);
        if (at == _runs.Count || _runs[at].Range != range)
        {
            return;
        }

        Run run = _runs[at];
        _runs.RemoveAt(at);
        if (run.Iova is { } mapped)
        {
            space.Unmap(mapped);
        }
        else if (run.Host is not null)
        {
            _unmapped--;
        }
    }

    /// <summary>True when the byte is the guest's and came without a descriptor.</summary>
    public bool IsUnshared(GuestAddress address) => TryFind(address, out Run run) && run.Host is null;

    /// <summary>Where the drive finds <paramref name="size"/> bytes; false when they are not in one run, or not for that.</summary>
    public bool TryTranslate(GuestAddress address, ulong size, bool forWriting, out Iova iova)
    {
        iova = default;
        if (!TryFind(address, out Run run) || run.Iova is not { } start || (forWriting && !run.IsWritable)
            || size > run.Range.Size - (address - run.Range.Start))
        {
            return false;
        }

        iova = start + (address - run.Range.Start);
        return true;
    }

    /// <summary>Reads bytes of one run; false when they are not.</summary>
    public bool Read(GuestAddress address, Span<byte> destination) =>
        TryTranslate(address, (ulong)destination.Length, false, out _) && guest.Memory.Read(address, destination);

    /// <summary>Writes bytes of one run; false when they are not, or cannot be written.</summary>
    public bool Write(GuestAddress address, ReadOnlySpan<byte> source) =>
        TryTranslate(address, (ulong)source.Length, true, out _) && guest.Memory.Write(address, source);

    private bool TryFind(GuestAddress address, out Run run)
    {
        // Most guests have few runs, and use one.
        if ((uint)_last >= (uint)_runs.Count || !_runs[_last].Range.Contains(address))
        {
            _last = FirstEndingAtOrAfter(address);
        }

        run = _last < _runs.Count ? _runs[_last] : default;
        return run.Range.Contains(address);
    }

    private int FirstEndingAtOrAfter(GuestAddress address)
    {
        int low = 0;
        int high = _runs.Count;
        while (low < high)
        {
            int middle = (low + high) / 2;
            if (_runs[middle].Range.Last < address)
            {
                low = middle + 1;
            }
            else
            {
                high = middle;
            }
        }

        return low;
    }

    private readonly record struct Run(AddressRange Range, HostAddress? Host, bool IsWritable, Iova? Iova);
}
