using Aperture.Devices.TestDevice;
using Aperture.Pci;

namespace Aperture.Mediation.Nvme;

/// <summary>A share of the drive: for one guest at a time.</summary>
/// <param name="Share">Its blocks.</param>
/// <param name="Pair">The drive's queue pair for it.</param>
internal sealed record NvmePlace(BlockShare Share, DriveQueuePair Pair);

/// <summary>
/// Shares an NVMe drive between guests that each see a controller with one namespace: a range of the drive's blocks. Admin commands are answered here; I/O
/// commands are checked, translated and given to a queue pair of the drive that is the guest's while it runs, and the drive moves the data straight from and
/// to the guest's memory.
/// </summary>
public sealed class NvmeMediator : IMediator
{
    /// <summary>The vendor id of the guests' controllers, that of the test device.</summary>
    public const ushort Vendor = TestFunction.TestVendor;

    /// <summary>Their device id.</summary>
    public const ushort DeviceId = 0x0004;

    /// <summary>Their MSI-X vectors: the admin queue's and the I/O queue's.</summary>
    public const int Vectors = 2;

    // Mass storage, non-volatile memory, NVM Express I/O controller (PCI Code and ID Assignment 1.11).
    private const uint Class = 0x010802;
    private const ulong RegisterBytes = 16 << 10;
    private const uint MsixTable = 0x2000;
    private const uint MsixPending = 0x3000;

    private readonly NvmeDrive _drive;
    private readonly uint _space;
    private readonly IEventSink _events;
    private readonly BlockShare[] _shares;
    private readonly Lock _gate = new();

    // By guest's place, which has one guest at a time; in the order in which they were described.
    private readonly Dictionary<string, NvmePlace> _places = [];

    /// <summary>Takes a drive over, resets it and brings it up.</summary>
    /// <param name="function">The drive, which is disposed with this.</param>
    /// <param name="shares">Bytes of each guest's share, in the order of the guests: one behind the other.</param>
    /// <param name="start">Bytes of the namespace before the first share.</param>
    /// <param name="nsid">Number of the drive's namespace.</param>
    /// <param name="events">Who hears when the drive fails.</param>
    /// <exception cref="ApertureException">The drive cannot be shared, or not so.</exception>
    public NvmeMediator(HostFunction function, IReadOnlyList<ulong> shares, ulong start, uint nsid, IEventSink events)
    {
        ArgumentNullException.ThrowIfNull(function);
        ArgumentNullException.ThrowIfNull(shares);
        ArgumentOutOfRangeException.ThrowIfZero(shares.Count);
        (_space, _events) = (nsid, events);
        _drive = new NvmeDrive(function, nsid, shares.Count, events);
        try
        {
            _shares = Divide(shares, start);
        }
        catch
        {
            _drive.Dispose();
            throw;
        }
    }

    /// <inheritdoc/>
    public string Name => "nvme";

    /// <inheritdoc/>
    public FunctionDescription Describe(string guest)
    {
        lock (_gate)
        {
            if (_places.ContainsKey(guest))
            {
                throw new ApertureException($"{guest} is named twice; give each guest a socket of its own");
            }

            if (_places.Count == _shares.Length)
            {
                throw new ApertureException(
                    $"the drive {_drive.Name} is shared among {_shares.Length} guests and {guest} is one more; give shares= one more size");
            }

            int number = _places.Count + 1;
            _places.Add(guest, new NvmePlace(_shares[number - 1], new DriveQueuePair(_drive, number, _drive.PairEntries)));
        }

        return new FunctionDescription(
            new PciIdentity(Vendor, DeviceId, Class, 1, Vendor, DeviceId),
            [new BarDescription(0, BarKind.Memory64, RegisterBytes)])
        {
            Msix = new MsixDescription(Vectors, 0, MsixTable, MsixPending),
            HasIntx = false,
        };
    }

    /// <inheritdoc/>
    public IMediatorSession Open(IGuest guest)
    {
        ArgumentNullException.ThrowIfNull(guest);
        NvmePlace place;
        lock (_gate)
        {
            place = _places[guest.Name];
        }

        return _drive.IsDead
            ? throw new ApertureException($"the drive {_drive.Name} failed; start the mediator anew", ApertureException.HostFailure)
            : new NvmeSession(place, _drive, _space, guest, _events);
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        foreach (NvmePlace place in _places.Values)
        {
            place.Pair.Dispose();
        }

        _drive.Dispose();
    }

    private BlockShare[] Divide(IReadOnlyList<ulong> shares, ulong start)
    {
        DriveIdentity drive = _drive.Identity;
        ulong block = 1UL << drive.BlockShift;
        ulong next = start;
        List<BlockShare> divided = [];
        foreach (ulong size in shares.Prepend(0UL))
        {
            if ((next | size) % block != 0)
            {
                throw new ApertureException($"the drive {_drive.Name} has blocks of {block} bytes; give start= and shares= multiples of that");
            }

            if (next > drive.Bytes || size > drive.Bytes - next)
            {
                throw new ApertureException($"the drive {_drive.Name} has {ByteSize.Format(drive.Bytes)} in namespace {_space}, and start= and shares= make "
                    + "more; give less");
            }

            divided.Add(new BlockShare(next >> drive.BlockShift, size >> drive.BlockShift));
            next += size;
        }

        return [.. divided.Skip(1)];
    }
}
