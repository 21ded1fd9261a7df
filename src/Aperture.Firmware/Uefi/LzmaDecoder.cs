using System.Buffers.Binary;

namespace Aperture.Firmware.Uefi;

/// <summary>
/// Decodes LZMA with the 13-byte header that UEFI's compressed sections have ("LZMA specification" of the LZMA SDK): properties, size of the dictionary, size
/// of the whole. The bytes may be anything: what is no LZMA decodes to less than it claims, or to nonsense.
/// </summary>
internal sealed class LzmaDecoder
{
    private const int HeaderSize = 13;
    private const int StateCount = 12;
    private const int FirstStateAfterMatch = 7;
    private const int PositionStates = 16;
    private const int ShortestMatch = 2;
    private const int FirstModelledSlot = 4;
    private const int FirstDirectSlot = 14;
    private const int AlignBits = 4;

    private readonly LzmaRange _range;
    private readonly byte[] _output;
    private readonly int _contextBits;
    private readonly int _positionBits;
    private readonly uint _literalPositionMask;
    private readonly uint _positionMask;
    private readonly ushort[] _literals;
    private readonly ushort[] _isMatch = LzmaRange.Probabilities(StateCount * PositionStates);
    private readonly ushort[] _isRepeat = LzmaRange.Probabilities(StateCount);
    private readonly ushort[] _isOtherRepeat = LzmaRange.Probabilities(StateCount);
    private readonly ushort[] _isThirdOrFourth = LzmaRange.Probabilities(StateCount);
    private readonly ushort[] _isFourth = LzmaRange.Probabilities(StateCount);
    private readonly ushort[] _isLong = LzmaRange.Probabilities(StateCount * PositionStates);
    private readonly ushort[] _slots = LzmaRange.Probabilities(4 << 6);
    private readonly ushort[] _distances = LzmaRange.Probabilities(128);
    private readonly ushort[] _align = LzmaRange.Probabilities(1 << AlignBits);
    private readonly LzmaLength _matchLength = new();
    private readonly LzmaLength _repeatLength = new();

    // The last four distances, less one, the latest first.
    private readonly uint[] _repeats = new uint[4];
    private int _state;
    private int _done;

    private LzmaDecoder(byte[] source, int start, byte[] output, int properties)
    {
        _range = new LzmaRange(source, start + HeaderSize);
        _output = output;
        _contextBits = properties % 9;
        _positionBits = properties / 9 % 5;
        _literalPositionMask = (1u << _positionBits) - 1;
        _positionMask = (1u << (properties / 45)) - 1;
        _literals = LzmaRange.Probabilities(0x300 << (_contextBits + _positionBits));
    }

    /// <summary>
    /// The first <paramref name="most"/> bytes, at most, of what <paramref name="source"/> holds from <paramref name="start"/> on; fewer where it ends or is no
    /// LZMA. Never throws.
    /// </summary>
    public static byte[] Decode(byte[] source, int start, int most)
    {
        // One byte says how many bits of context literals and matches have: (pb * 5 + lp) * 9 + lc.
        const int PropertiesEnd = 5 * 5 * 9;
        if (start < 0 || source.Length - start < HeaderSize || source[start] >= PropertiesEnd)
        {
            return [];
        }

        ulong size = BinaryPrimitives.ReadUInt64LittleEndian(source.AsSpan(start + 5));
        byte[] output = new byte[(int)Math.Min(size, (ulong)most)];
        LzmaDecoder decoder = new(source, start, output, source[start]);
        decoder.Run();
        return decoder._done == output.Length ? output : output[..decoder._done];
    }

    private void Run()
    {
        while (_done < _output.Length && !_range.IsCut)
        {
            int position = (int)((uint)_done & _positionMask);
            if (!_range.Bit(ref _isMatch[(_state * PositionStates) + position]))
            {
                TakeLiteral();
                continue;
            }

            int length = _range.Bit(ref _isRepeat[_state]) ? TakeRepeat(position) : TakeMatch(position);

            // A distance of 2^32 ends the stream; one before its start is no LZMA.
            if (_repeats[0] >= (uint)_done)
            {
                return;
            }

            Copy(length);
        }
    }

    private void TakeLiteral()
    {
        byte before = _done > 0 ? _output[_done - 1] : (byte)0;
        int context = (int)(((uint)_done & _literalPositionMask) << _contextBits) + (before >> (8 - _contextBits));
        Span<ushort> model = _literals.AsSpan(0x300 * context, 0x300);
        int symbol = 1;
        if (_state >= FirstStateAfterMatch)
        {
            // The byte that a repeated match would have brought is the context, as long as the two agree.
            uint distance = _repeats[0];
            int match = distance < (uint)_done ? _output[_done - 1 - (int)distance] : 0;
            while (symbol < 0x100)
            {
                int expected = match >> 7 & 1;
                match <<= 1;
                int bit = _range.Bit(ref model[((1 + expected) << 8) + symbol]) ? 1 : 0;
                symbol = symbol << 1 | bit;
                if (bit != expected)
                {
                    break;
                }
            }
        }

        while (symbol < 0x100)
        {
            symbol = symbol << 1 | (_range.Bit(ref model[symbol]) ? 1 : 0);
        }

        _output[_done++] = (byte)symbol;
        _state = _state < 4 ? 0 : _state < 10 ? _state - 3 : _state - 6;
    }

    private int TakeMatch(int position)
    {
        (_repeats[3], _repeats[2], _repeats[1]) = (_repeats[2], _repeats[1], _repeats[0]);
        int length = _matchLength.Take(_range, position);
        _state = _state < FirstStateAfterMatch ? 7 : 10;
        _repeats[0] = TakeDistance(length);
        return length + ShortestMatch;
    }

    private int TakeRepeat(int position)
    {
        if (!_range.Bit(ref _isOtherRepeat[_state]))
        {
            if (!_range.Bit(ref _isLong[(_state * PositionStates) + position]))
            {
                _state = _state < FirstStateAfterMatch ? 9 : 11;
                return 1;
            }
        }
        else
        {
            int which = !_range.Bit(ref _isThirdOrFourth[_state]) ? 1 : !_range.Bit(ref _isFourth[_state]) ? 2 : 3;
            uint distance = _repeats[which];
            Array.Copy(_repeats, 0, _repeats, 1, which);
            _repeats[0] = distance;
        }

        int length = _repeatLength.Take(_range, position);
        _state = _state < FirstStateAfterMatch ? 8 : 11;
        return length + ShortestMatch;
    }

    private uint TakeDistance(int length)
    {
        int slot = _range.Tree(_slots.AsSpan(Math.Min(length, 3) << 6, 1 << 6), 6);
        if (slot < FirstModelledSlot)
        {
            return (uint)slot;
        }

        int bits = (slot >> 1) - 1;
        uint distance = (2u | (uint)slot & 1) << bits;
        if (slot < FirstDirectSlot)
        {
            return distance + _range.ReverseTree(_distances.AsSpan((int)distance - slot), bits);
        }

        distance += _range.Direct(bits - AlignBits) << AlignBits;
        return distance + _range.ReverseTree(_align, AlignBits);
    }

    private void Copy(int length)
    {
        int from = _done - 1 - (int)_repeats[0];
        for (int end = Math.Min(_output.Length, _done + length); _done < end;)
        {
            _output[_done++] = _output[from++];
        }
    }
}
