using System.Text;
using System.Text.Json;
using Aperture.Assignment;
using Aperture.Linux;
using Aperture.Memory;
using Aperture.TestKit.Parts.Assigned;
using Aperture.Watch;

namespace Aperture.Machine.Tests.Assigned;

/// <summary>What is told of the BARs that other devices reach.</summary>
public sealed class PeerEventsTests : IDisposable
{
    private const ulong Page = 4096;

    private readonly RamBlock _bar = RamBlock.Foreign("bar", new HostAddress(0x00DE_AD00_0000_0000), 16 * Page, new Nothing());
    private readonly AddressSpace _space = AddressSpace.ForMemory();
    private readonly FakeIommu _iommu = new();
    private readonly MemoryStream _log = new();
    private readonly EventHub _events = new(TimeProvider.System);
    private int _changes;

    public PeerEventsTests() => _events.Subscribe(EventLog.To(_log));

    public void Dispose()
    {
        _space.Dispose();
        _bar.Dispose();
    }

    [Fact]
    public void A_BAR_that_is_mapped_moved_and_gone_is_told_each_time()
    {
        Listen();
        Region bar = Whole("nvme0 bar0");
        Place(bar, 0xC000_0000);
        Remove(bar);
        Place(bar, 0xD000_0000);
        Assert.Equal(["p2p.mapped 0xc0000000", "p2p.unmapped 0xc0000000", "p2p.mapped 0xd0000000"], Told());
    }

    [Fact]
    public void A_refusal_is_told_once_until_the_BAR_is_elsewhere_or_the_kernel_says_something_else()
    {
        _iommu.Refuses = static _ => Errno.EFAULT;
        Listen();
        Region bar = Whole("nvme0 bar0");
        Place(bar, 0xC000_0000);
        Unrelated();
        Remove(bar);
        Place(bar, 0xC000_0000);
        Assert.Equal(["p2p.refused 0xc0000000"], Told());

        Remove(bar);
        Place(bar, 0xD000_0000);
        _iommu.Refuses = static _ => Errno.ENOSPC;
        Unrelated();
        Assert.Equal(["p2p.refused 0xc0000000", "p2p.refused 0xd0000000", "p2p.refused 0xd0000000"], Told());

        _iommu.Refuses = static _ => 0;
        Unrelated();
        _iommu.Refuses = static _ => Errno.ENOSPC;
        Remove(bar);
        Place(bar, 0xD000_0000);
        Assert.Equal(["p2p.mapped 0xd0000000", "p2p.unmapped 0xd0000000", "p2p.refused 0xd0000000"], Told()[3..]);
    }

    [Fact]
    public void Pieces_that_no_page_fits_into_are_told_once_for_their_BAR()
    {
        Listen();
        for (int round = 0; round < 3; round++)
        {
            Region[] pieces = [Piece("nvme0 bar0+0x100", 0x100), Piece("nvme0 bar0+0x400", 0x400), Piece("nvme0 bar2+0x800", 0x800)];
            foreach (Region piece in pieces)
            {
                Place(piece, 0xC000_0000 + (ulong)(_changes * 0x1_0000));
            }
        }

        Assert.Equal(2, Told().Length);
        Assert.Contains("\"nvme0 bar0+0x100\"", Encoding.UTF8.GetString(_log.ToArray()), StringComparison.Ordinal);
    }

    [Fact]
    public void A_device_alone_has_no_peers_to_tell_of()
    {
        Listen(hasPeers: false);
        Place(Whole("nvme0 bar0"), 0xC000_0000);
        Assert.Empty(Told());
    }

    private Region Whole(string name) => Region.ForDevice(name, _bar, 0, 4 * Page, new Silent());

    private Region Piece(string name, ulong start) => Region.ForDevice(name, _bar, start, 0x100, new Silent());

    private void Listen(bool hasPeers = true)
    {
        IommuListener listener = new(_iommu);
        _space.AddListener(listener);
        _space.AddListener(new PeerEvents(listener, _events, () => hasPeers));
    }

    private void Place(Region region, ulong address)
    {
        _changes++;
        using AddressChange change = _space.Begin();
        change.Place(region, new GuestAddress(address), 0);
        change.Commit();
    }

    private void Remove(Region region)
    {
        using AddressChange change = _space.Begin();
        change.Remove(region);
        change.Commit();
    }

    private void Unrelated() => Place(Region.Trapped("other", Page, new Silent()), 0x1000_0000 + ((ulong)_changes * Page));

    private string[] Told() =>
    [
        .. Encoding.UTF8.GetString(_log.ToArray()).Split('\n', StringSplitOptions.RemoveEmptyEntries).Select(l => JsonDocument.Parse(l).RootElement)
            .Select(e => $"{e.GetProperty("event").GetString()} {e.GetProperty("address").GetString()}"),
    ];

    private sealed class Nothing : IDisposable
    {
        public void Dispose()
        {
        }
    }

    private sealed class Silent : IAccessHandler
    {
        public AccessResult Read(ulong offset, int size, out ulong value)
        {
            value = 0;
            return AccessResult.Ok;
        }

        public AccessResult Write(ulong offset, int size, ulong value) => AccessResult.Ok;
    }
}
