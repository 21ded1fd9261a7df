using Aperture.Memory;
using Aperture.Placement.Map;
using Aperture.Placement.Platforms;

namespace Aperture.Board.Pc;

/// <summary>
/// Keeps RAM where the chipset's registers say. At first, and whenever the registers hold what the plan gave them, that is the plan's place; once a guest
/// programs other values, RAM follows in one step, and no byte is lost: what shows nowhere shows again when the registers let it.
/// </summary>
internal sealed class RamRouting : IMapPart
{
    private readonly GuestRam _ram;
    private readonly RamPlacement _plan;
    private readonly Func<MemoryRegisters?> _registers;
    private readonly IEventSink _events;
    private readonly bool _movable;
    private List<RamPiece> _pieces = [];
    private bool _atPlan;

    /// <summary>Makes the routing of <paramref name="ram"/>, which is placed with the first update.</summary>
    /// <param name="ram">Guest RAM.</param>
    /// <param name="plan">Where the plan has it.</param>
    /// <param name="registers">What the memory size registers say; null on a board without them.</param>
    /// <param name="events">Told when RAM moves.</param>
    public RamRouting(GuestRam ram, RamPlacement plan, Func<MemoryRegisters?> registers, IEventSink events)
    {
        (_ram, _plan, _registers, _events) = (ram, plan, registers, events);
        _movable = RamLayout.IsMovable(plan);
    }

    /// <summary>Where RAM shows, by rising address. A new list whenever that changes.</summary>
    public IReadOnlyList<AddressRange> Ranges { get; private set; } = [];

    /// <summary>The memory.</summary>
    public RamBlock Block => _ram.Block;

    /// <summary>What shows at <see cref="Ranges"/>.</summary>
    public IReadOnlyList<RamPiece> Pieces => _pieces;

    /// <inheritdoc/>
    public void Update(MapChange change)
    {
        MemoryRegisters? registers = _registers();
        bool planned = registers is null || !_movable || IsPlanned(registers);
        if (planned && _atPlan)
        {
            return;
        }

        List<RamPiece> next = planned ? [.. _ram.Pieces] : [.. RamLayout.By(registers!, _ram.Block.Size).Select(Piece)];
        bool first = Ranges.Count == 0;
        _atPlan = planned;
        if (next.SequenceEqual(_pieces))
        {
            return;
        }

        foreach (RamPiece old in _pieces.Except(next))
        {
            change.Memory.Remove(old.Region);
        }

        foreach (RamPiece piece in next.Except(_pieces))
        {
            change.Memory.Place(piece.Region, piece.Range.Start, RegionPriority.Ram);
        }

        _pieces = next;
        Ranges = [.. next.Select(p => p.Range)];
        if (!first)
        {
            Report();
        }
    }

    // A piece that stays where it was keeps its region, so that its slot is left alone.
    private RamPiece Piece(RamPlace place)
    {
        foreach (RamPiece known in _pieces.Concat(_ram.Pieces))
        {
            if (known.Range == place.Range && known.Region.RamOffset == place.Offset)
            {
                return known;
            }
        }

        string name = place.Range.Start < GuestRam.HighBase ? "ram-low" : place.Offset < GuestRam.HighBase.Value ? "ram-remapped" : "ram-high";
        return new RamPiece(Region.ForRam(name, _ram.Block, place.Offset, place.Range.Size, mustBeMapped: true), place.Range);
    }

    private bool IsPlanned(MemoryRegisters now)
    {
        return _plan.Registers is { } plan
            && now.ToludRegister == plan.ToludRegister && now.TouudRegister == plan.TouudRegister && now.RemapEnabled == plan.RemapEnabled
            && (!now.RemapEnabled || (now.RemapBaseRegister == plan.RemapBaseRegister && now.RemapLimitRegister == plan.RemapLimitRegister));
    }

    private void Report() => _events.Write("ram.moved", json =>
    {
        json.WriteStartArray("ranges");
        foreach (AddressRange range in Ranges)
        {
            json.WriteStringValue($"{range.Start}+0x{range.Size:x}");
        }

        json.WriteEndArray();
    });
}
