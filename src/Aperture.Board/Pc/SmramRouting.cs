using Aperture.Memory;

namespace Aperture.Board.Pc;

/// <summary>
/// Keeps the RAM of system management mode where the chipset's registers say: the window behind the VGA adapter's, and TSEG, the last of the RAM below 4 GiB.
/// TSEG is taken from everybody else, devices' DMA included; the window's RAM nobody else sees anyway, unless firmware opens it.
/// </summary>
internal sealed class SmramRouting : IMapPart
{
    // Below lies what firmware and processors start with; the chipset has no TSEG there.
    private const ulong LeastTseg = 1UL << 20;

    private readonly AddressSpace _above;
    private readonly RamRouting _ram;
    private readonly IPcChipset _chipset;
    private Wanted _applied = new(null, false, null);
    private Region? _window;
    private Region? _tseg;
    private Region? _tsegHole;

    /// <summary>Makes the routing: what only the mode sees is placed in <paramref name="above"/>.</summary>
    public SmramRouting(AddressSpace above, RamRouting ram, IPcChipset chipset) => (_above, _ram, _chipset) = (above, ram, chipset);

    /// <summary>Where TSEG is, as of the last update; null while there is none.</summary>
    public AddressRange? Tseg => _applied.Tseg?.Range;

    /// <inheritdoc/>
    public void Update(MapChange change)
    {
        Wanted wanted = Want();
        if (wanted == _applied)
        {
            return;
        }

        using AddressChange above = _above.Begin();
        Remove(above, change.Memory);
        _applied = wanted;
        if (wanted.Window is { } start)
        {
            _window = Region.ForRam("smram", _ram.Block, SmramControl.WindowStart, SmramControl.WindowSize, mustBeMapped: true);
            (wanted.IsOpen ? change.Memory : above).Place(_window, start, RegionPriority.ManagementRam);
        }

        if (wanted.Tseg is { } tseg)
        {
            _tseg = Region.ForRam("tseg", _ram.Block, tseg.Offset, tseg.Range.Size, mustBeMapped: true);
            _tsegHole = Region.Hole("tseg", tseg.Range.Size);
            above.Place(_tseg, tseg.Range.Start, RegionPriority.ManagementRam);
            change.Memory.Place(_tsegHole, tseg.Range.Start, RegionPriority.ManagementRam);
        }

        above.Commit();
    }

    private void Remove(AddressChange above, AddressChange memory)
    {
        if (_window is not null)
        {
            (_applied.IsOpen ? memory : above).Remove(_window);
        }

        if (_tseg is not null)
        {
            above.Remove(_tseg);
            memory.Remove(_tsegHole!);
        }

        (_window, _tseg, _tsegHole) = (null, null, null);
    }

    private Wanted Want()
    {
        SmramControl control = _chipset.Smram;
        return new Wanted(control.IsEnabled ? control.Window : null, control.IsOpen, FindTseg(control.TsegSize));
    }

    private RamPlace? FindTseg(ulong size)
    {
        RamPiece? last = null;
        foreach (RamPiece piece in _ram.Pieces)
        {
            last = piece.Range.Start < GuestRam.HighBase ? piece : last;
        }

        if (size == 0 || last is null)
        {
            return null;
        }

        ulong end = last.Range.Last.Value + 1;
        ulong start = Math.Max(Math.Max(last.Range.Start.Value, LeastTseg), end - Math.Min(size, end));
        return start < end
            ? new RamPlace(new AddressRange(new GuestAddress(start), end - start), last.Region.RamOffset + (start - last.Range.Start.Value))
            : null;
    }

    private sealed record Wanted(GuestAddress? Window, bool IsOpen, RamPlace? Tseg);
}
