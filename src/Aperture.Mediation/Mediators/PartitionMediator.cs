using System.Numerics;
using Aperture.Assignment;
using Aperture.Devices.TestDevice;
using Aperture.Linux;
using Aperture.Memory;
using Aperture.Pci;
using Aperture.Pci.Registers;

namespace Aperture.Mediation.Mediators;

/// <summary>
/// Divides memory, this process's or a BAR's of a device, between guests, page by page, as they ask. A guest claims pages of its window (BAR 2) by a doorbell
/// (<see cref="PartitionRegisters"/>); the first touch of a claimed page grants it one, of zeros. Guests may claim more than there is: then the page that was
/// granted longest ago, whoever has it, is revoked. Its content is lost, and its guest is told by MSI-X vector 0; the page stays claimed, so the next touch
/// brings another.
/// </summary>
public sealed class PartitionMediator : IMediator
{
    /// <summary>The device id of a partition function; the vendor is that of the test device.</summary>
    public const ushort DeviceId = 0x0002;

    /// <summary>Index of the BAR that is the window.</summary>
    public const int WindowBar = 2;

    /// <summary>The fewest pages: an instruction touches a few at once, on each of several processors.</summary>
    public const ulong FewestPages = 8;

    private const ulong LargestPage = 1UL << 30;
    private const ulong MostPages = 1UL << 24;
    private const ulong RegisterBytes = 8 << 10;
    private const uint MsixTable = 0x1000;
    private const uint MsixPending = 0x1800;

    private readonly GrantSource _memory;
    private readonly IDisposable _owner;
    private readonly int _pages;
    private readonly bool _trust;

    // Under the gate, which is not held while a guest is asked to let go.
    private readonly object _gate = new();
    private readonly Stack<int> _free = [];

    // Granted longest ago first.
    private readonly LinkedList<Holding> _holdings = [];

    /// <summary>Makes the memory and divides it.</summary>
    /// <param name="bytes">Bytes of it, a multiple of the page.</param>
    /// <param name="page">Bytes of a page: a power of two from 4 KiB to 1 GiB.</param>
    /// <param name="window">Bytes of each guest's window, a power of two; null: as much as there is memory.</param>
    /// <param name="trust">Monitors may map what their guests are granted: they get the descriptor of all the memory then.</param>
    /// <exception cref="ApertureException">Other sizes, or the host has not the memory.</exception>
    public PartitionMediator(ulong bytes, ulong page = GrantBook.Page, ulong? window = null, bool trust = false)
        : this(bytes, page, window, trust, () =>
        {
            RamBlock memory = RamBlock.Create("partition", bytes, shared: true);
            return (memory, memory);
        })
    {
    }

    private PartitionMediator(ulong bytes, ulong page, ulong? window, bool trust, Func<(GrantSource Memory, IDisposable Owner)> take)
    {
        if (!ulong.IsPow2(page) || page is < GrantBook.Page or > LargestPage)
        {
            throw new ApertureException($"the partition mediator cannot have pages of {ByteSize.Format(page)}; give page= a power of two from 4K to 1G");
        }

        ulong pages = bytes / page;
        if (bytes % page != 0 || pages is < FewestPages or > MostPages)
        {
            throw new ApertureException($"the partition mediator cannot divide {ByteSize.Format(bytes)} into pages of {ByteSize.Format(page)}; "
                + $"give size= a multiple of it, from {FewestPages} to {MostPages} pages");
        }

        Window = window ?? BitOperations.RoundUpToPowerOf2(bytes);
        if (!ulong.IsPow2(Window) || Window < page || Window / page > MostPages)
        {
            throw new ApertureException($"the partition mediator cannot have a window of {ByteSize.Format(Window)}; give window= a power of two from one page "
                + $"to {MostPages} pages");
        }

        (Page, _trust) = (page, trust);
        _pages = (int)pages;
        (_memory, _owner) = take();
        for (int i = _pages - 1; i >= 0; i--)
        {
            _free.Push(i);
        }
    }

    /// <summary>Divides a memory BAR of a function, which it takes over; also when it fails. The constructor says what the other numbers are.</summary>
    /// <param name="function">The function. Nothing of it is used but the BAR, and the command bit that lets it decode memory.</param>
    /// <param name="bar">Index of the BAR.</param>
    /// <param name="page">Bytes of a page.</param>
    /// <param name="window">Bytes of each guest's window.</param>
    /// <param name="trust">Monitors may map what their guests are granted: they get the function's descriptor then, and with it the whole function.</param>
    /// <exception cref="ApertureException">It has no such BAR, does not answer, or the numbers do not fit.</exception>
    public static PartitionMediator Over(HostFunction function, int bar, ulong page = GrantBook.Page, ulong? window = null, bool trust = false)
    {
        ArgumentNullException.ThrowIfNull(function);
        try
        {
            IVfioDevice device = function.Device;
            int bars = Math.Min(device.Regions.Count, VfioRegionIndex.Rom);
            if ((uint)bar >= (uint)bars || device.Regions[bar] is not { Size: > 0, Readable: true, Writable: true })
            {
                throw new ApertureException($"{device.Name} has no memory in {BarKinds.BarName(bar)} that can be read and written; give bar= another");
            }

            RegionSource memory = new(device, bar);
            if (trust && memory.File is null)
            {
                throw new ApertureException($"{BarKinds.BarName(bar)} of {device.Name} cannot be mapped whole, so trust=on means nothing; leave it out");
            }

            Decode(device);
            return new PartitionMediator(memory.Size, page, window, trust, () => (memory, new FunctionOwner(function)));
        }
        catch
        {
            new FunctionOwner(function).Dispose();
            throw;
        }
    }

    /// <inheritdoc/>
    public string Name => "partition";

    /// <summary>Bytes of a page.</summary>
    public ulong Page { get; }

    /// <summary>Bytes of each guest's window.</summary>
    public ulong Window { get; }

    /// <summary>How many pages nobody has.</summary>
    public int Free
    {
        get
        {
            lock (_gate)
            {
                return _free.Count;
            }
        }
    }

    /// <inheritdoc/>
    public FunctionDescription Describe(string guest) => new(
        new PciIdentity(TestFunction.TestVendor, DeviceId, 0xFF0000, 1, TestFunction.TestVendor, DeviceId),
        [
            new BarDescription(0, BarKind.Memory32, RegisterBytes),
            new BarDescription(WindowBar, BarKind.Memory64Prefetchable, Window) { Parts = [new BarPart(0, Window, BarPartKind.Mediated)] },
        ])
    {
        Msix = new MsixDescription(1, 0, MsixTable, MsixPending),
        HasIntx = false,
        TrustsClient = _trust,
    };

    /// <inheritdoc/>
    public IMediatorSession Open(IGuest guest) => new PartitionSession(this, guest);

    /// <inheritdoc/>
    public void Dispose() => _owner.Dispose();

    /// <summary>How many pages there are for all guests.</summary>
    internal int Pages => _pages;

    /// <summary>How many pages a guest has.</summary>
    internal int CountOf(PartitionSession session)
    {
        lock (_gate)
        {
            return session.Held.Count;
        }
    }

    /// <summary>
    /// The grant of a page of a guest's window. When no page is free, the one that was granted longest ago is revoked; when all are just being revoked, the
    /// first that is done is waited for.
    /// </summary>
    internal Grant Give(PartitionSession session, int window)
    {
        int page;
        LinkedListNode<Holding>? victim = null;
        lock (_gate)
        {
            if (session.Held.TryGetValue(window, out LinkedListNode<Holding>? held))
            {
                return GrantOf(window, held.Value.Page);
            }

            while (_free.Count == 0 && _holdings.First is null)
            {
                Monitor.Wait(_gate);
            }

            if (!_free.TryPop(out page))
            {
                victim = _holdings.First!;
                page = victim.Value.Page;
                _holdings.Remove(victim);
                victim.Value.Session.Held.Remove(victim.Value.Window);
            }
        }

        try
        {
            victim?.Value.Session.LetGo(victim.Value.Window);
            _memory.Clear((ulong)page * Page, Page);
        }
        catch
        {
            // Memory that is lost: who waits for a page finds that out too.
            lock (_gate)
            {
                _free.Push(page);
                Monitor.PulseAll(_gate);
            }

            throw;
        }

        lock (_gate)
        {
            session.Held[window] = _holdings.AddLast(new Holding(session, window, page));
            Monitor.PulseAll(_gate);
        }

        return GrantOf(window, page);
    }

    /// <summary>A guest gives up what it has of a range of its window; it has to be its own thread.</summary>
    internal void TakeBack(PartitionSession session, int first, int count)
    {
        List<int> pages = [];
        lock (_gate)
        {
            foreach ((int window, LinkedListNode<Holding> holding) in session.Held)
            {
                if (window >= first && window - first < count)
                {
                    pages.Add(holding.Value.Page);
                    _holdings.Remove(holding);
                    session.Held.Remove(window);
                }
            }
        }

        session.Guest.Revoke(WindowBar, (ulong)first * Page, (ulong)count * Page);
        lock (_gate)
        {
            foreach (int page in pages)
            {
                _free.Push(page);
            }

            Monitor.PulseAll(_gate);
        }
    }

    // Memory that a function does not decode is not there (PCI Local Bus 3.0, section 6.2.2).
    private static void Decode(IVfioDevice device)
    {
        Span<byte> command = stackalloc byte[sizeof(ushort)];
        int errno = device.Read(VfioRegionIndex.Config, PciRegisters.Command, command);
        if (errno == 0)
        {
            command[0] |= (byte)PciCommand.MemorySpace;
            errno = device.Write(VfioRegionIndex.Config, PciRegisters.Command, command);
        }

        if (errno != 0)
        {
            throw new ApertureException($"{device.Name} does not answer: {Errno.Name(errno)}; reset it", ApertureException.HostFailure);
        }
    }

    private Grant GrantOf(int window, int page) => new(WindowBar, (ulong)window * Page, Page, _memory, (ulong)page * Page, GrantProtection.ReadWrite);

    private sealed class FunctionOwner(HostFunction function) : IDisposable
    {
        public void Dispose()
        {
            function.Device.Dispose();
            function.Owner.Dispose();
        }
    }

    /// <summary>A page and who has it, at which page of the window.</summary>
    internal sealed record Holding(PartitionSession Session, int Window, int Page);
}
