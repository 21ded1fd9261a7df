using Aperture.Memory;
using Aperture.Placement.Map;
using Aperture.Placement.Platforms;

namespace Aperture.Machine.Board;

/// <summary>
/// Keeps RAM where the chipset's registers say. At first, and whenever the registers hold what the plan gave them, that is the plan's place; once a guest
/// programs other values, RAM follows in one step, and no byte is lost: what shows nowhere shows again when the registers let it.
/// </summary>
internal sealed class RamRouting
{
    private readonly GuestRam _ram;
    private readonly RamPlacement _plan;
    private readonly IEventSink _events;
    private readonly bool _movable;
    private List<RamPiece> _pieces = [];
    private bool _atPlan;

    public RamRouting(GuestRam ram, RamPlacement plan, IEventSink events)
    {
        (_ram, _plan, _events) = (ram, plan, events);
        _movable = RamLayout.IsMovable(plan);
    }

    /// <summary>Where RAM shows, by rising address. A new list whenever that changes.</summary>
    public IReadOnlyList<AddressRange> Ranges { get; private set; } = [];

    /// <summary>Follows <paramref name="registers"/>, null on a board without them.</summary>
    public void Update(AddressChange change, MemoryRegisters? registers)
    {
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
            change.Remove(old.Region);
        }

        foreach (RamPiece piece in next.Except(_pieces))
        {
            change.Place(piece.Region, piece.Range.Start, RegionPriority.Ram);
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
        MemoryRegisters plan = _plan.Registers;
        return now.ToludRegister == plan.ToludRegister && now.TouudRegister == plan.TouudRegister && now.RemapEnabled == plan.RemapEnabled
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
