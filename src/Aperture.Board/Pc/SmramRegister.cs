using Aperture.Pci.Registers;

namespace Aperture.Board.Pc;

/// <summary>
/// SMRAM (Intel 3 Series datasheet, 5.1.21; 440FX datasheet, 3.2.20) and the byte behind it: D_LCK closes SMRAM and makes both read-only until a reset.
/// There is no system management mode, so nothing else acts.
/// </summary>
internal sealed class SmramRegister
{
    private const byte Open = 1 << 6;
    private const byte Lock = 1 << 4;
    private const byte ResetValue = 0x02;
    private readonly ConfigSpace _config;
    private readonly int _offset;

    /// <summary>Declares the register at <paramref name="offset"/> of <paramref name="config"/>.</summary>
    public SmramRegister(ConfigSpace config, int offset)
    {
        _config = config;
        _offset = offset;
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
            if (offset + i == _offset || offset + i == _offset + 1)
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
