using Aperture.Pci.Registers;

namespace Aperture.Board.Pc;

/// <summary>
/// SMRAM (Intel 3 Series datasheet, 5.1.21; 440FX datasheet, 3.2.20) and the byte behind it: D_LCK closes SMRAM and makes both read-only until a reset.
/// What else it does is <see cref="SmramRouting"/>'s, on a board with system management mode.
/// </summary>
internal sealed class SmramRegister
{
    private const int Own = 2;
    private const byte Open = 1 << 6;
    private const byte Lock = 1 << 4;
    private const byte ResetValue = 0x02;
    private readonly ConfigSpace _config;
    private readonly int _offset;
    private readonly (int Offset, int Length)[] _locked;

    /// <summary>
    /// Declares the register at <paramref name="offset"/> of <paramref name="config"/>; a lock makes the bytes of <paramref name="alsoLocked"/> read-only, too.
    /// </summary>
    public SmramRegister(ConfigSpace config, int offset, params (int Offset, int Length)[] alsoLocked)
    {
        _config = config;
        _offset = offset;
        _locked = [(offset, Own), .. alsoLocked];
        config.Define(offset, 1, ResetValue, writable: 0x78);
    }

    private bool IsLocked => (_config.Read(_offset, 1) & Lock) != 0;

    /// <summary>What a guest's write leaves to write once locked bytes keep their values.</summary>
    public uint Filter(int offset, int size, uint value)
    {
        if (!IsLocked)
        {
            return value;
        }

        for (int i = 0; i < size; i++)
        {
            if (Array.Exists(_locked, bytes => offset + i >= bytes.Offset && offset + i < bytes.Offset + bytes.Length))
            {
                value = (value & ~(0xFFu << (8 * i))) | (_config.Read(offset + i, 1) << (8 * i));
            }
        }

        return value;
    }

    /// <summary>After a write: a lock closes SMRAM.</summary>
    public void Settle()
    {
        if (IsLocked)
        {
            _config.Set(_offset, 0, (uint)Open << (8 * (_offset & 3)));
        }
    }
}
