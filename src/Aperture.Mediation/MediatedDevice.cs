using Aperture.Assignment;
using Aperture.Linux;
using Aperture.Pci;
using Aperture.Pci.Registers;
using Aperture.VfioUser.Server;

namespace Aperture.Mediation;

/// <summary>
/// A place for a guest, served in VFIO's terms: the function that a mediator describes, and a session at it for whoever is connected. A guest that comes
/// finds the function as after a reset.
/// </summary>
internal sealed class MediatedDevice : IFaultingDevice, IInterruptLine
{
    private readonly IMediator _mediator;
    private readonly string _name;
    private readonly SourceLedger _ledger;
    private readonly IEventSink _events;
    private readonly FunctionDescription _description;
    private readonly MediatedFunction _function;
    private volatile GuestSession? _guest;
    private volatile IDeviceClient? _client;

    /// <summary>Asks the mediator what the guest at <paramref name="name"/> sees.</summary>
    /// <exception cref="ApertureException">The mediator refuses, or describes what cannot be.</exception>
    public MediatedDevice(IMediator mediator, string name, SourceLedger ledger, IEventSink events)
    {
        (_mediator, _name, _ledger, _events) = (mediator, name, ledger, events);
        _description = mediator.Describe(name);
        _description.Check(mediator.Name);
        _function = new MediatedFunction(mediator.Name, _description) { IntxLine = this };
        ServedRegion[] regions = new ServedRegion[VfioRegionIndex.Vga + 1];
        Array.Fill(regions, ServedRegion.None);
        foreach (BarDescription bar in _description.Bars)
        {
            VfioArea[] areas = [.. bar.Parts.Where(static p => p.Kind == BarPartKind.Fixed).Select(static p => new VfioArea(p.Offset, p.Size))];
            regions[bar.Index] = new ServedRegion(bar.Size, true, true) { Areas = areas, File = areas.Length == 0 ? null : bar.Memory!.File };
        }

        regions[VfioRegionIndex.Config] = new ServedRegion(ConfigSpace.ConventionalSize, true, true);
        Regions = regions;
        Irqs =
        [
            new VfioIrq(VfioIrqIndex.Intx, _description.HasIntx ? 1 : 0, true, true, true),
            new VfioIrq(VfioIrqIndex.Msi, 0, false, false, false),
            new VfioIrq(VfioIrqIndex.Msix, _description.Msix?.Vectors ?? 0, false, false, true),
            new VfioIrq(VfioIrqIndex.Error, 0, false, false, true),
            new VfioIrq(VfioIrqIndex.Request, 0, false, false, true),
        ];
    }

    /// <inheritdoc/>
    public IReadOnlyList<ServedRegion> Regions { get; }

    /// <inheritdoc/>
    public IReadOnlyList<VfioIrq> Irqs { get; }

    /// <inheritdoc/>
    public bool CanReset => true;

    /// <summary>The guest that is connected; null when there is none.</summary>
    public GuestSession? Guest => _guest;

    /// <inheritdoc/>
    public void Connected(IDeviceClient client)
    {
        _client = client;
        _function.Reset(ResetKind.Cold);
        try
        {
            _guest = GuestSession.Open(_mediator, _name, _description, _function, _ledger, client, _events);
        }
        catch (Exception e)
        {
            throw Failure("when a guest came", e);
        }
    }

    /// <inheritdoc/>
    public void Disconnected()
    {
        _client = null;
        if (_guest is not { } guest)
        {
            return;
        }

        _guest = null;
        try
        {
            guest.End();
        }
        catch (Exception e)
        {
            _events.Notice("mediation.failed", $"{Failure("at the guest's end", e).Message}.");
        }

        _events.Write("mediation.ended", json => json.WriteNumber("refused", guest.Refused));
    }

    /// <inheritdoc/>
    public int Read(int region, ulong offset, Span<byte> destination)
    {
        if (region == VfioRegionIndex.Config)
        {
            _function.Read(offset, destination);
            return 0;
        }

        try
        {
            BarDescription bar = _description.Find(region)!;
            while (!destination.IsEmpty)
            {
                int count = ReadPiece(bar, offset, destination);
                offset += (ulong)count;
                destination = destination[count..];
            }

            return 0;
        }
        catch (Exception e)
        {
            throw Failure($"when {BarKinds.BarName(region)} was read at 0x{offset:x}", e);
        }
    }

    /// <inheritdoc/>
    public int Write(int region, ulong offset, ReadOnlySpan<byte> source)
    {
        try
        {
            if (region == VfioRegionIndex.Config)
            {
                if (_function.Write(offset, source))
                {
                    _guest!.Mediator.BusMasterChanged((_function.Command & PciCommand.BusMaster) != 0);
                }

                return 0;
            }

            BarDescription bar = _description.Find(region)!;
            while (!source.IsEmpty)
            {
                int count = WritePiece(bar, offset, source);
                offset += (ulong)count;
                source = source[count..];
            }

            return 0;
        }
        catch (Exception e)
        {
            throw Failure($"when region {region} was written at 0x{offset:x}", e);
        }
    }

    /// <inheritdoc/>
    public IReadOnlyList<VfioArea> FaultingAreas(int region) => !_description.TrustsClient || _description.Find(region) is not { } bar
        ? []
        : [.. bar.Parts.Where(static p => p.Kind == BarPartKind.Mediated).Select(static p => new VfioArea(p.Offset, p.Size))];

    /// <inheritdoc/>
    public ServedGrant Fault(int region, ulong offset, bool isWrite)
    {
        try
        {
            return _guest!.Touch(_description.Find(region)!, offset, isWrite);
        }
        catch (Exception e)
        {
            throw Failure($"when {BarKinds.BarName(region)} was touched at 0x{offset:x}", e);
        }
    }

    /// <inheritdoc/>
    public int Reset()
    {
        try
        {
            _guest!.RevokeAll();
            _function.Reset(ResetKind.Conventional);
            _guest.Mediator.Reset();
            return 0;
        }
        catch (Exception e)
        {
            throw Failure("at a reset", e);
        }
    }

    /// <inheritdoc/>
    public void MemoryAdded(AddressRange range, SafeFileDescriptor? file, ulong fileOffset, bool writable, HostAddress? host)
    {
        try
        {
            _guest!.Mediator.MemoryAdded(range, host, writable);
        }
        catch (Exception e)
        {
            throw Failure("when memory was given", e);
        }
    }

    /// <inheritdoc/>
    public void MemoryRemoved(AddressRange range)
    {
        try
        {
            _guest?.Mediator.MemoryRemoved(range);
        }
        catch (Exception e)
        {
            // The memory goes whatever the mediator says, and the guest may be ending.
            _events.Notice("mediation.failed", $"{Failure("when memory was taken back", e).Message}.");
        }
    }

    /// <inheritdoc/>
    void IInterruptLine.Set(bool asserted) => _client?.SetIntx(asserted);

    private int ReadPiece(BarDescription bar, ulong offset, Span<byte> destination)
    {
        BarPartKind kind = bar.PartAt(offset, out ulong end);
        Span<byte> piece = destination[..(int)Math.Min((ulong)destination.Length, end - offset)];
        if (kind == BarPartKind.Fixed)
        {
            bar.Memory!.Read(offset, piece);
            return piece.Length;
        }

        if (kind == BarPartKind.Mediated)
        {
            return _guest!.Read(bar, offset, piece);
        }

        piece = piece[..Pieces.Natural(offset, piece.Length)];
        ulong value;
        if (_function.FindMsix(bar.Index, offset, out ulong within) is { } msix)
        {
            value = msix.Read(within, piece.Length, out value) == AccessResult.Ok ? value : ulong.MaxValue;
        }
        else
        {
            value = _guest!.Mediator.Read(bar.Index, offset, piece.Length);
        }

        Pieces.Store(value, piece);
        return piece.Length;
    }

    private int WritePiece(BarDescription bar, ulong offset, ReadOnlySpan<byte> source)
    {
        BarPartKind kind = bar.PartAt(offset, out ulong end);
        ReadOnlySpan<byte> piece = source[..(int)Math.Min((ulong)source.Length, end - offset)];
        if (kind == BarPartKind.Fixed)
        {
            bar.Memory!.Write(offset, piece);
            return piece.Length;
        }

        if (kind == BarPartKind.Mediated)
        {
            return _guest!.Write(bar, offset, piece);
        }

        piece = piece[..Pieces.Natural(offset, piece.Length)];
        if (_function.FindMsix(bar.Index, offset, out ulong within) is { } msix)
        {
            _ = msix.Write(within, piece.Length, Pieces.Load(piece));
        }
        else
        {
            _guest!.Mediator.Write(bar.Index, offset, piece.Length, Pieces.Load(piece));
        }

        return piece.Length;
    }

    private ApertureException Failure(string when, Exception cause) =>
        new($"the mediator {_mediator.Name} failed {when} by the guest at {_name}: {cause.Message}", ApertureException.HostFailure, cause);
}
