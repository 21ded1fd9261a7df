namespace Aperture.Pci.Registers;

/// <summary>
/// A function's configuration registers: 256 bytes (conventional) or 4096 (PCI Express), with an access mode for every bit.
/// A bit is read-only unless it is declared writable or write-one-to-clear; a sticky bit survives every reset but a cold one
/// (PCI Express 5.0, section 7.4). Not thread-safe by itself: <see cref="PciHierarchy"/> serialises what the guest does.
/// </summary>
public sealed class ConfigSpace
{
    /// <summary>Size in bytes of a conventional function's space.</summary>
    public const int ConventionalSize = 256;

    /// <summary>Size in bytes of a PCI Express function's space.</summary>
    public const int ExtendedSize = 4096;

    private readonly uint[] _values;
    private readonly uint[] _writable;
    private readonly uint[] _writeOneToClear;
    private readonly uint[] _sticky;
    private readonly uint[] _defaults;

    // A bit for each word that DefineReadEffect named; null while none was.
    private ulong[]? _readEffects;

    /// <summary>Makes a space of all-zero read-only registers.</summary>
    /// <param name="size"><see cref="ConventionalSize"/> or <see cref="ExtendedSize"/>.</param>
    /// <exception cref="ArgumentOutOfRangeException">Any other size.</exception>
    public ConfigSpace(int size)
    {
        if (size is not (ConventionalSize or ExtendedSize))
        {
            throw new ArgumentOutOfRangeException(nameof(size), size, "a configuration space has 256 or 4096 bytes");
        }

        int words = size / 4;
        _values = new uint[words];
        _writable = new uint[words];
        _writeOneToClear = new uint[words];
        _sticky = new uint[words];
        _defaults = new uint[words];
    }

    /// <summary>Size in bytes.</summary>
    public int Size => _values.Length * 4;

    /// <summary>
    /// Reads <paramref name="size"/> (1, 2 or 4) bytes at any <paramref name="offset"/>, little-endian, zero-extended.
    /// Bytes outside the space read as ones.
    /// </summary>
    public uint Read(int offset, int size)
    {
        int word = offset >> 2;
        int lane = offset & 3;
        return (uint)word < (uint)_values.Length && lane + size <= 4
            ? _values[word] >> (8 * lane) & WidthMask(size)
            : ReadAcross(offset, size);
    }

    /// <summary>
    /// Writes as the guest does: each bit by its access mode, only the bytes addressed. Bytes outside the space are dropped.
    /// </summary>
    public void Write(int offset, int size, uint value)
    {
        int lane = offset & 3;
        if (lane + size <= 4)
        {
            WriteWord(offset >> 2, value << (8 * lane), WidthMask(size) << (8 * lane));
            return;
        }

        WriteWord(offset >> 2, value << (8 * lane), uint.MaxValue << (8 * lane));
        int rest = lane + size - 4;
        WriteWord((offset >> 2) + 1, value >> (8 * (size - rest)), WidthMask(rest));
    }

    /// <summary>The 32-bit word that holds <paramref name="offset"/>, for the device side.</summary>
    /// <exception cref="IndexOutOfRangeException">The offset lies outside the space.</exception>
    public uint Get(int offset) => _values[offset >> 2];

    /// <summary>Replaces the 32-bit word that holds <paramref name="offset"/>, whatever its access modes: the device side's write.</summary>
    /// <exception cref="IndexOutOfRangeException">The offset lies outside the space.</exception>
    public void Set(int offset, uint value) => _values[offset >> 2] = value;

    /// <summary>Replaces the bits of <paramref name="mask"/> in the word that holds <paramref name="offset"/>, whatever their access modes.</summary>
    /// <exception cref="IndexOutOfRangeException">The offset lies outside the space.</exception>
    public void Set(int offset, uint value, uint mask) => _values[offset >> 2] = (_values[offset >> 2] & ~mask) | (value & mask);

    /// <summary>
    /// Declares a register of <paramref name="size"/> (1, 2 or 4) bytes inside one aligned word: its value now and after a reset, and
    /// which of its bits the guest may write, clear by writing one, and which survive a reset. Declaring again replaces.
    /// </summary>
    /// <exception cref="ArgumentOutOfRangeException">The register crosses a word or the end of the space.</exception>
    public void Define(int offset, int size, uint value, uint writable = 0, uint writeOneToClear = 0, uint sticky = 0)
    {
        int lane = offset & 3;
        ArgumentOutOfRangeException.ThrowIfGreaterThan(lane + size, 4, nameof(size));
        ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual((uint)offset, (uint)Size, nameof(offset));
        int word = offset >> 2;
        uint mask = WidthMask(size) << (8 * lane);
        Merge(_values, word, value << (8 * lane), mask);
        Merge(_defaults, word, value << (8 * lane), mask);
        Merge(_writable, word, writable << (8 * lane), mask);
        Merge(_writeOneToClear, word, writeOneToClear << (8 * lane), mask);
        Merge(_sticky, word, sticky << (8 * lane), mask);
    }

    /// <summary>
    /// Declares that to read any of the words that hold these bytes has an effect beyond the answer: the guest's read of one reaches the function exactly
    /// once, and not while a write is under way (<see cref="PciHierarchy.ConfigRead"/>). While the function is built only. Bytes outside the space are ignored.
    /// </summary>
    public void DefineReadEffect(int offset, int length)
    {
        _readEffects ??= new ulong[ExtendedSize / 4 / 64];
        for (int at = Math.Max(offset, 0); at < Math.Min(offset + length, Size); at++)
        {
            _readEffects[at >> 8] |= 1UL << (at >> 2 & 63);
        }
    }

    /// <summary>True when a read of <paramref name="size"/> bytes (1 to 4) at <paramref name="offset"/> touches a word that was declared so.</summary>
    public bool HasReadEffect(int offset, int size) => _readEffects is not null && (IsReadEffect(offset) || IsReadEffect(offset + size - 1));

    /// <summary>Replaces the bits of <paramref name="mask"/> in the word that holds <paramref name="offset"/>, now and after every reset.</summary>
    /// <exception cref="IndexOutOfRangeException">The offset lies outside the space.</exception>
    public void SetDefault(int offset, uint value, uint mask)
    {
        Merge(_values, offset >> 2, value, mask);
        Merge(_defaults, offset >> 2, value, mask);
    }

    /// <summary>Returns every register to its reset value; sticky bits keep theirs unless the reset is cold.</summary>
    public void Reset(ResetKind kind)
    {
        for (int word = 0; word < _values.Length; word++)
        {
            uint keep = kind == ResetKind.Cold ? 0 : _sticky[word];
            _values[word] = (_values[word] & keep) | (_defaults[word] & ~keep);
        }
    }

    private static uint WidthMask(int size) => size >= 4 ? uint.MaxValue : (1u << (8 * size)) - 1;

    private static void Merge(uint[] words, int word, uint value, uint mask) => words[word] = (words[word] & ~mask) | (value & mask);

    private bool IsReadEffect(int offset) => (uint)offset < (uint)Size && (_readEffects![offset >> 8] >> (offset >> 2 & 63) & 1) != 0;

    private void WriteWord(int word, uint value, uint lanes)
    {
        if ((uint)word >= (uint)_values.Length)
        {
            return;
        }

        uint settable = _writable[word] & lanes;
        uint clearable = _writeOneToClear[word] & lanes & value;

        // A word without guest-writable bits is never stored to: the device side may be updating it on another thread (MSI pending bits).
        if ((settable | clearable) != 0)
        {
            _values[word] = ((_values[word] & ~settable) | (value & settable)) & ~clearable;
        }
    }

    private uint ReadAcross(int offset, int size)
    {
        uint value = 0;
        for (int i = 0; i < size && i < 4; i++)
        {
            int at = unchecked(offset + i);
            uint octet = (uint)at < (uint)Size ? _values[at >> 2] >> (8 * (at & 3)) & 0xFF : 0xFF;
            value |= octet << (8 * i);
        }

        return value;
    }
}
