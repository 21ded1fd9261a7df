namespace Aperture.Devices.TestDevice;

/// <summary>
/// A trapped BAR without registers. The word at offset o reads as <see cref="Pattern"/> XOR a stored word; 16 stored words are mirrored every 64
/// bytes, and a write stores what was written. So every word of an untouched BAR differs from its neighbours and from other
/// BARs, and whatever the BAR's size the device keeps 64 bytes. A VF's BAR has the pattern of its place in the VF BAR, which is at <paramref name="from"/>.
/// </summary>
internal sealed class TestPatternBar(TestBarSpec bar, TestAccessCounter accesses, ulong from = 0) : IAccessHandler, IWordRegisters
{
    private const int StoredWords = 16;

    private readonly uint[] _stored = new uint[StoredWords];

    /// <summary>
    /// What the word at <paramref name="offset"/> (a multiple of 4) of BAR <paramref name="index"/> reads as before any write: bits 63:32 of
    /// offset / 4 x 0x9E3779B97F4A7C15, plus index x 0x85EBCA6B. Multiplying by an odd constant near 2^64 over the golden ratio spreads neighbours apart.
    /// </summary>
    public static uint Pattern(int index, ulong offset) => unchecked((uint)((offset >> 2) * 0x9E3779B97F4A7C15 >> 32) + ((uint)index * 0x85EBCA6B));

    /// <inheritdoc/>
    public AccessResult Read(ulong offset, int size, out ulong value)
    {
        accesses.Count();
        return AccessLanes.ReadWords(this, bar.Size, offset, size, out value);
    }

    /// <inheritdoc/>
    public AccessResult Write(ulong offset, int size, ulong value)
    {
        accesses.Count();
        return AccessLanes.WriteWords(this, bar.Size, offset, size, value);
    }

    /// <summary>Forgets what was written.</summary>
    public void Reset() => Array.Clear(_stored);

    uint IWordRegisters.ReadWord(ulong offset, uint lanes) => Pattern(bar.Index, unchecked(from + offset)) ^ Volatile.Read(ref Stored(offset));

    void IWordRegisters.WriteWord(ulong offset, uint value, uint lanes)
    {
        ref uint word = ref Stored(offset);
        Volatile.Write(ref word, Volatile.Read(ref word) & ~lanes | value & lanes);
    }

    private ref uint Stored(ulong offset) => ref _stored[(int)(offset >> 2) & (StoredWords - 1)];
}
