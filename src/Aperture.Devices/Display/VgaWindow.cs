using Aperture.Memory;

namespace Aperture.Devices.Display;

/// <summary>
/// The legacy window 0xA0000-0xBFFFF: planar memory through latches, odd/even for text, chained for 256 colours (IBM VGA Technical Reference,
/// graphics controller), or a 64 KiB bank of the framebuffer in the high-resolution modes.
/// </summary>
/// <remarks>
/// The four planes' bytes at one address lie side by side in the framebuffer. Chained and odd/even addresses are packed: CPU address a reaches plane
/// a mod 4 at a / 4, or a mod 2 at a / 2, where the real adapter leaves gaps; the screen is read the same way.
/// </remarks>
internal sealed class VgaWindow(VgaState state, RamBlock memory) : IAccessHandler, IByteRegisters
{
    /// <summary>The first address.</summary>
    public const ulong Start = 0xA0000;

    /// <summary>Bytes.</summary>
    public const uint Length = 0x20000;

    private const uint Bank = 0x10000;

    // The last read's four bytes, one a plane; guarded by the state's gate.
    private uint _latch;

    /// <inheritdoc/>
    public AccessResult Read(ulong offset, int size, out ulong value) => AccessLanes.ReadBytes(this, Length, offset, size, out value);

    /// <inheritdoc/>
    public AccessResult Write(ulong offset, int size, ulong value) => AccessLanes.WriteBytes(this, Length, offset, size, value);

    /// <summary>Forgets the latches. Under the state's gate.</summary>
    public void Reset() => _latch = 0;

    byte IByteRegisters.ReadByte(uint offset)
    {
        lock (state.Gate)
        {
            return TryMap(offset, out uint address) ? ReadAt(address) : (byte)0xFF;
        }
    }

    void IByteRegisters.WriteByte(uint offset, byte value)
    {
        lock (state.Gate)
        {
            if (TryMap(offset, out uint address))
            {
                WriteAt(address, value);
            }
        }
    }

    /// <summary>A byte of 0xFF for every plane whose bit is set in the low four of <paramref name="planes"/>.</summary>
    public static uint Expand(int planes)
    {
        uint mask = (planes & 1) != 0 ? 0x0000_00FFu : 0;
        mask |= (planes & 2) != 0 ? 0x0000_FF00u : 0;
        mask |= (planes & 4) != 0 ? 0x00FF_0000u : 0;
        return mask | ((planes & 8) != 0 ? 0xFF00_0000u : 0);
    }

    // The memory map select field decides which part of the window answers.
    private bool TryMap(uint offset, out uint address)
    {
        (uint start, uint length) = (state.Graphics[VgaIndex.GraphicsMisc] >> 2 & 3) switch
        {
            0 => (0u, 0x20000u),
            1 => (0u, 0x10000u),
            2 => (0x10000u, 0x8000u),
            _ => (0x18000u, 0x8000u),
        };
        address = offset - start;
        return state.IsRamEnabled && address < length;
    }

    private byte ReadAt(uint address)
    {
        if (state.Dispi.IsLinear)
        {
            return Linear(address, out ulong at) ? memory.Read<byte>(at) : (byte)0xFF;
        }

        if (state.IsChain4)
        {
            return memory.Read<byte>(address);
        }

        byte mode = state.Graphics[VgaIndex.GraphicsMode];
        bool oddEven = (mode & 0x10) != 0;
        _latch = memory.Read<uint>((oddEven ? address >> 1 : address) * 4);
        if ((mode & 8) != 0)
        {
            uint different = (_latch ^ Expand(state.Graphics[VgaIndex.GraphicsCompare])) & Expand(state.Graphics[VgaIndex.GraphicsDontCare]);
            different |= different >> 16;
            return (byte)~(different | different >> 8);
        }

        int plane = state.Graphics[VgaIndex.GraphicsReadMap] & 3;
        plane = oddEven ? (plane & 2) | (int)(address & 1) : plane;
        return (byte)(_latch >> (8 * plane));
    }

    private void WriteAt(uint address, byte value)
    {
        if (state.Dispi.IsLinear)
        {
            if (Linear(address, out ulong at))
            {
                memory.Write(at, value);
            }

            return;
        }

        int planes = state.Sequencer[VgaIndex.SequencerMapMask] & 0xF;
        if (state.IsChain4)
        {
            if ((planes >> (int)(address & 3) & 1) != 0)
            {
                memory.Write(address, value);
            }

            return;
        }

        // Memory mode bit 2 clear: even addresses go to planes 0 and 2, odd ones to 1 and 3.
        if ((state.Sequencer[VgaIndex.SequencerMemoryMode] & 4) == 0)
        {
            planes &= (address & 1) == 0 ? 0b0101 : 0b1010;
            address >>= 1;
        }

        uint enabled = Expand(planes);
        uint before = memory.Read<uint>(address * 4);
        memory.Write(address * 4, (before & ~enabled) | (Combine(value) & enabled));
    }

    // What the graphics controller makes of a byte by its write mode.
    private uint Combine(byte value)
    {
        byte[] graphics = state.Graphics;
        int mode = graphics[VgaIndex.GraphicsMode] & 3;
        if (mode == 1)
        {
            return _latch;
        }

        uint bits = graphics[VgaIndex.GraphicsBitMask] * 0x0101_0101u;
        int rotate = graphics[VgaIndex.GraphicsRotate] & 7;
        uint rotated = (byte)(value >> rotate | value << (8 - rotate)) * 0x0101_0101u;
        uint setReset = Expand(graphics[VgaIndex.GraphicsSetReset]);
        uint color;
        switch (mode)
        {
            case 0:
                uint forced = Expand(graphics[VgaIndex.GraphicsEnableSetReset]);
                color = (rotated & ~forced) | (setReset & forced);
                break;
            case 2:
                color = Expand(value);
                break;
            default:
                color = setReset;
                bits &= rotated;
                break;
        }

        color = (graphics[VgaIndex.GraphicsRotate] >> 3 & 3) switch
        {
            1 => color & _latch,
            2 => color | _latch,
            3 => color ^ _latch,
            _ => color,
        };
        return (color & bits) | (_latch & ~bits);
    }

    private bool Linear(uint address, out ulong at)
    {
        at = ((ulong)state.Dispi.Bank * Bank) + (address & (Bank - 1));
        return at < memory.Size;
    }
}
