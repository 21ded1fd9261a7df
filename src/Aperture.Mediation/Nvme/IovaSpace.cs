using Aperture.Assignment;
using Aperture.Linux;

namespace Aperture.Mediation.Nvme;

/// <summary>An address as the drive uses it: what its IOMMU translates.</summary>
/// <param name="Value">The address in bytes.</param>
internal readonly record struct Iova(ulong Value)
{
    /// <summary>The address <paramref name="offset"/> bytes above.</summary>
    public static Iova operator +(Iova address, ulong offset) => new(address.Value + offset);
}

/// <summary>
/// The addresses that the drive can use, given out in runs: whatever is mapped gets a run of its own, so that no guest's memory has an address that another's
/// has too. Thread-safe.
/// </summary>
internal sealed class IovaSpace(IIommuMap iommu)
{
    // Nothing below: drives take a pointer of 0 for none.
    private const ulong Lowest = 1 << 20;
    private const ulong HugePage = 2 << 20;

    // Where the kernel does not say: below the addresses of interrupt messages, and what the narrowest of today's IOMMUs translates.
    private static readonly AddressRange[] Usual =
    [
        AddressRange.FromBounds(new GuestAddress(Lowest), new GuestAddress(0xFEDF_FFFF)),
        AddressRange.FromBounds(new GuestAddress(1UL << 32), new GuestAddress((1UL << 39) - 1)),
    ];

    private readonly Lock _gate = new();

    // By first address, disjoint.
    private readonly SortedList<ulong, ulong> _sizes = [];
    private ulong _locked;

    /// <summary>Lets the drive reach <paramref name="size"/> bytes at <paramref name="host"/>, whole pages; says where it finds them.</summary>
    /// <exception cref="ApertureException">There is no room, or the kernel refuses; <paramref name="what"/> is the memory in the sentence.</exception>
    public Iova Map(HostAddress host, ulong size, bool writable, string what)
    {
        lock (_gate)
        {
            ulong skew = size >= HugePage ? host.Value % HugePage : 0;
            ulong alignment = size >= HugePage ? HugePage : iommu.PageSize;
            Iova found = Find(size, skew, alignment) ?? throw new ApertureException(
                $"{what} of {ByteSize.Format(size)} has no room among the addresses that the drive's IOMMU translates; share less",
                ApertureException.HostFailure);
            AddressRange range = new(new GuestAddress(found.Value), size);
            int errno = iommu.Map(range, host, writable);
            if (errno != 0)
            {
                throw new ApertureException(
                    $"{what} cannot be mapped for the drive: {iommu.WhyNot(errno, range, _locked + size, isDevice: false)}", ApertureException.HostFailure);
            }

            _sizes.Add(found.Value, size);
            _locked += size;
            return found;
        }
    }

    /// <summary>Takes a run back. When the kernel does not, it is never given out again.</summary>
    /// <exception cref="ApertureException">The kernel refuses: the drive still reaches the memory.</exception>
    public void Unmap(Iova iova)
    {
        lock (_gate)
        {
            ulong size = _sizes[iova.Value];
            int errno = iommu.Unmap(new AddressRange(new GuestAddress(iova.Value), size));
            if (errno != 0)
            {
                throw new ApertureException(
                    $"the kernel does not take {ByteSize.Format(size)} away from the drive: {MemoryMap.Describe(errno)}", ApertureException.HostFailure);
            }

            _sizes.Remove(iova.Value);
            _locked -= size;
        }
    }

    private Iova? Find(ulong size, ulong skew, ulong alignment)
    {
        foreach (AddressRange range in iommu.Ranges.Count == 0 ? Usual : iommu.Ranges)
        {
            ulong next = AlignUp(Math.Max(range.Start.Value, Lowest), skew, alignment);
            foreach ((ulong first, ulong taken) in _sizes)
            {
                if (first >= next && first - next >= size)
                {
                    break;
                }

                if (first + taken > next)
                {
                    next = AlignUp(first + taken, skew, alignment);
                }
            }

            if (AddressRange.Fits(new GuestAddress(next), size) && range.Contains(new AddressRange(new GuestAddress(next), size)))
            {
                return new Iova(next);
            }
        }

        return null;
    }

    // The first address from one on that lies as far behind a multiple of the alignment.
    private static ulong AlignUp(ulong address, ulong skew, ulong alignment) => address + ((skew - address) & (alignment - 1));
}
