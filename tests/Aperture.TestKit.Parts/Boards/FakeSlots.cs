using Aperture.Memory;

namespace Aperture.TestKit.Parts.Boards;

/// <summary>A hypervisor's slot table with KVM's rules: whole pages, no overlap, no refill of a full slot.</summary>
public sealed class FakeSlots : IMemorySlotBackend
{
    private const int InvalidArgument = 22;

    public SortedDictionary<int, MemorySlot> Table { get; } = [];

    /// <summary>Calls that KVM would have refused.</summary>
    public int Refusals { get; private set; }

    /// <summary>Called inside every call, before it takes effect.</summary>
    public Action? Inside { get; set; }

    public int MaxSlots => 128;

    public int Set(int id, in MemorySlot slot)
    {
        Inside?.Invoke();
        AddressRange range = slot.Range;
        bool pages = ((range.Start.Value | range.Size | slot.Host.Value) & 0xFFF) == 0 && !range.IsEmpty;
        if (id < 0 || id >= MaxSlots || Table.ContainsKey(id) || !pages || Table.Values.Any(other => other.Range.Overlaps(range)))
        {
            Refusals++;
            return InvalidArgument;
        }

        Table.Add(id, slot);
        return 0;
    }

    public int Delete(int id)
    {
        Inside?.Invoke();
        if (Table.Remove(id))
        {
            return 0;
        }

        Refusals++;
        return InvalidArgument;
    }

    /// <summary>The slot at <paramref name="address"/>, or null.</summary>
    public MemorySlot? At(ulong address)
    {
        foreach (MemorySlot slot in Table.Values)
        {
            if (slot.Range.Contains(new GuestAddress(address)))
            {
                return slot;
            }
        }

        return null;
    }
}
