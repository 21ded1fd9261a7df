using System.Collections;
using Aperture.Pci.Registers;

namespace Aperture.Assignment;

/// <summary>Which bytes of configuration space the guest reads and writes in the device itself. Fixed once the function is built.</summary>
internal sealed class ForwardedBytes(int size)
{
    private readonly BitArray _bytes = new(size);

    /// <summary>Forwards a run of bytes, or stops forwarding it. What is outside the space is ignored; the header is never forwarded.</summary>
    public void Set(int offset, int length, bool forwarded = true)
    {
        for (int at = Math.Max(offset, PciRegisters.FirstCapability); at < Math.Min(offset + length, _bytes.Length); at++)
        {
            _bytes[at] = forwarded;
        }
    }

    /// <summary>Declares every forwarded register as one whose read may have an effect: what reading does in the device is not known here.</summary>
    public void DeclareIn(ConfigSpace config)
    {
        for (int at = 0; at < _bytes.Length; at++)
        {
            if (_bytes[at])
            {
                config.DefineReadEffect(at, 1);
            }
        }
    }

    /// <summary>True when any of these bytes is forwarded.</summary>
    public bool Any(int offset, int size)
    {
        for (int i = 0; i < size; i++)
        {
            if (Has(offset + i))
            {
                return true;
            }
        }

        return false;
    }

    /// <summary>Replaces the forwarded bytes of <paramref name="value"/> by the device's.</summary>
    public uint Read(PhysicalConfig device, int offset, int size, uint value)
    {
        for (int at = 0; at < size;)
        {
            int piece = Piece(offset + at, size - at);
            if (piece != 0)
            {
                uint mask = (uint)AccessWidth.AllOnes(piece) << (8 * at);
                value = (value & ~mask) | device.Read(offset + at, piece) << (8 * at);
            }

            at += Math.Max(piece, 1);
        }

        return value;
    }

    /// <summary>Writes the forwarded bytes to the device, in naturally aligned pieces.</summary>
    public void Write(PhysicalConfig device, int offset, int size, uint value)
    {
        for (int at = 0; at < size;)
        {
            int piece = Piece(offset + at, size - at);
            if (piece != 0)
            {
                device.Write(offset + at, piece, value >> (8 * at) & (uint)AccessWidth.AllOnes(piece));
            }

            at += Math.Max(piece, 1);
        }
    }

    private bool Has(int offset) => (uint)offset < (uint)_bytes.Length && _bytes[offset];

    // The largest aligned run of forwarded bytes here: 4, 2, 1, or 0 when this byte is not forwarded.
    private int Piece(int offset, int left)
    {
        for (int piece = 4; piece != 0; piece >>= 1)
        {
            if (piece <= left && (offset & (piece - 1)) == 0 && All(offset, piece))
            {
                return piece;
            }
        }

        return 0;
    }

    private bool All(int offset, int size)
    {
        for (int i = 0; i < size; i++)
        {
            if (!Has(offset + i))
            {
                return false;
            }
        }

        return true;
    }
}
