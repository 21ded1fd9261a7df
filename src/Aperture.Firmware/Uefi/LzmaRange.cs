namespace Aperture.Firmware.Uefi;

/// <summary>The range decoder of LZMA: bits with adaptive probabilities of 11 bits each. Behind the end of the source it reads zeros and says so.</summary>
internal sealed class LzmaRange
{
    private const int ProbabilityBits = 11;
    private const int Adaptation = 5;
    private const uint Least = 1u << 24;
    private readonly byte[] _source;
    private int _at;
    private uint _range = uint.MaxValue;
    private uint _code;

    /// <summary>Begins at <paramref name="start"/>: a byte that is always 0, then the first four of the code.</summary>
    public LzmaRange(byte[] source, int start)
    {
        (_source, _at) = (source, start);
        IsCut = Next() != 0;
        for (int i = 0; i < 4; i++)
        {
            _code = _code << 8 | Next();
        }
    }

    /// <summary>The source is no LZMA, or ended before what was asked of it.</summary>
    public bool IsCut { get; private set; }

    /// <summary>Models that know nothing yet: both values of each bit are as likely.</summary>
    public static ushort[] Probabilities(int count)
    {
        ushort[] even = new ushort[count];
        Array.Fill(even, (ushort)(1 << (ProbabilityBits - 1)));
        return even;
    }

    /// <summary>A bit, by a model that learns from it.</summary>
    public bool Bit(ref ushort probability)
    {
        uint bound = (_range >> ProbabilityBits) * probability;
        bool one = _code >= bound;
        if (one)
        {
            _range -= bound;
            _code -= bound;
            probability -= (ushort)(probability >> Adaptation);
        }
        else
        {
            _range = bound;
            probability += (ushort)(((1 << ProbabilityBits) - probability) >> Adaptation);
        }

        Normalise();
        return one;
    }

    /// <summary>Bits without a model, the highest first.</summary>
    public uint Direct(int bits)
    {
        uint value = 0;
        for (; bits > 0; bits--)
        {
            _range >>= 1;
            bool one = _code >= _range;
            _code -= one ? _range : 0;
            value = value << 1 | (one ? 1u : 0u);
            Normalise();
        }

        return value;
    }

    /// <summary>A number of <paramref name="bits"/> bits, the highest first, each with a model for what came before.</summary>
    public int Tree(Span<ushort> models, int bits)
    {
        int node = 1;
        for (int i = 0; i < bits; i++)
        {
            node = node << 1 | (Bit(ref models[node]) ? 1 : 0);
        }

        return node - (1 << bits);
    }

    /// <summary>The same, the lowest first.</summary>
    public uint ReverseTree(Span<ushort> models, int bits)
    {
        int node = 1;
        uint value = 0;
        for (int i = 0; i < bits; i++)
        {
            uint bit = Bit(ref models[node]) ? 1u : 0u;
            node = node << 1 | (int)bit;
            value |= bit << i;
        }

        return value;
    }

    private void Normalise()
    {
        if (_range < Least)
        {
            _range <<= 8;
            _code = _code << 8 | Next();
        }
    }

    private byte Next()
    {
        if ((uint)_at < (uint)_source.Length)
        {
            return _source[_at++];
        }

        IsCut = true;
        return 0;
    }
}

/// <summary>LZMA's model of lengths, less the shortest: 3, 3 or 8 bits by two bits of choice.</summary>
internal sealed class LzmaLength
{
    private readonly ushort[] _choice = LzmaRange.Probabilities(2);
    private readonly ushort[] _low = LzmaRange.Probabilities(16 << 3);
    private readonly ushort[] _middle = LzmaRange.Probabilities(16 << 3);
    private readonly ushort[] _high = LzmaRange.Probabilities(1 << 8);

    /// <summary>The next length at <paramref name="position"/>, 0 to 271.</summary>
    public int Take(LzmaRange range, int position) => !range.Bit(ref _choice[0]) ? range.Tree(_low.AsSpan(position << 3, 8), 3)
        : !range.Bit(ref _choice[1]) ? 8 + range.Tree(_middle.AsSpan(position << 3, 8), 3)
        : 16 + range.Tree(_high, 8);
}
