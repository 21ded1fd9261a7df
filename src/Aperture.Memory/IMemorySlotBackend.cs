namespace Aperture.Memory;

/// <summary>The hypervisor's table of slots. Called with the space's change lock held, by one thread at a time.</summary>
public interface IMemorySlotBackend
{
    /// <summary>How many slots there may be; their ids are 0 to this less 1.</summary>
    int MaxSlots { get; }

    /// <summary>Fills the empty slot <paramref name="id"/>. Returns 0, or the errno with which the host refused; the slot is then still empty.</summary>
    int Set(int id, in MemorySlot slot);

    /// <summary>Empties slot <paramref name="id"/>. Returns 0, or the errno with which the host refused; the slot is then still in place.</summary>
    int Delete(int id);
}
