using Aperture.Pci.Registers;
using FsCheck;
using FsCheck.Fluent;

namespace Aperture.Pci.Tests;

public class ConfigSpaceTests
{
    private sealed record Definition(byte Value, byte Writable, byte Clearable, byte Sticky);

    private sealed record Write(int Offset, int Size, uint Value);

    private static Gen<byte> Octets { get; } = Gen.Choose(0, 255).Select(n => (byte)n);

    private static Gen<Definition> Definitions { get; } =
        from value in Octets
        from writable in Octets
        from clearable in Octets
        from sticky in Octets
        select new Definition(value, writable, (byte)(clearable & ~writable), sticky);

    private static Gen<Write> Writes { get; } =
        from offset in Gen.Frequency((8, Gen.Choose(0, 15)), (1, Gen.Choose(250, 260)), (1, Gen.Elements(-1, -4, int.MinValue, int.MaxValue)))
        from size in Gen.Elements(1, 2, 4)
        from high in Gen.Choose(0, 0xFFFF)
        from low in Gen.Choose(0, 0xFFFF)
        select new Write(offset, size, (uint)high << 16 | (uint)low);

    // The oracle knows single bits only.
    private static void OracleWrite(bool[] bits, Definition[] definitions, Write write)
    {
        for (int i = 0; i < 8 * write.Size; i++)
        {
            long at = ((long)write.Offset * 8) + i;
            if (at < 0 || at >= definitions.Length * 8)
            {
                continue;
            }

            bool one = (write.Value >> i & 1) != 0;
            Definition definition = definitions[at / 8];
            int bit = (int)(at % 8);
            if ((definition.Writable >> bit & 1) != 0)
            {
                bits[at] = one;
            }
            else if ((definition.Clearable >> bit & 1) != 0 && one)
            {
                bits[at] = false;
            }
        }
    }

    private static byte OracleByte(bool[] bits, int at)
    {
        int value = 0;
        for (int bit = 0; bit < 8; bit++)
        {
            value |= bits[(at * 8) + bit] ? 1 << bit : 0;
        }

        return (byte)value;
    }

    [Fact]
    public void Writes_of_every_size_at_every_offset_change_exactly_the_bits_their_modes_allow()
    {
        Prop.ForAll(Definitions.ArrayOf(16).Zip(Writes.ListOf()).ToArbitrary(), input =>
        {
            (Definition[] few, List<Write> writes) = (input.Item1, [.. input.Item2]);
            Definition[] definitions = [.. few, .. Enumerable.Repeat(new Definition(0, 0, 0, 0), 240)];
            ConfigSpace space = new(ConfigSpace.ConventionalSize);
            bool[] bits = new bool[256 * 8];
            for (int at = 0; at < few.Length; at++)
            {
                space.Define(at, 1, few[at].Value, few[at].Writable, few[at].Clearable, few[at].Sticky);
                for (int bit = 0; bit < 8; bit++)
                {
                    bits[(at * 8) + bit] = (few[at].Value >> bit & 1) != 0;
                }
            }

            foreach (Write write in writes)
            {
                space.Write(write.Offset, write.Size, write.Value);
                OracleWrite(bits, definitions, write);
            }

            for (int at = 0; at < 256; at++)
            {
                Assert.Equal(OracleByte(bits, at), space.Read(at, 1));
            }

            space.Reset(ResetKind.Conventional);
            for (int at = 0; at < few.Length; at++)
            {
                int kept = OracleByte(bits, at) & few[at].Sticky;
                Assert.Equal((uint)(kept | (few[at].Value & ~few[at].Sticky & 0xFF)), space.Read(at, 1));
            }

            space.Reset(ResetKind.Cold);
            Assert.All(Enumerable.Range(0, few.Length), at => Assert.Equal(few[at].Value, space.Read(at, 1)));
        }).Holds();
    }

    [Theory]
    [InlineData(256, 1, 0xFFu)]
    [InlineData(256, 4, 0xFFFF_FFFFu)]
    [InlineData(254, 4, 0xFFFF_0000u)]
    [InlineData(255, 2, 0xFF00u)]
    [InlineData(-1, 2, 0x00FFu)]
    public void Bytes_outside_the_space_read_as_ones_at_the_access_width(int offset, int size, uint expected)
    {
        ConfigSpace space = new(ConfigSpace.ConventionalSize);
        Assert.Equal(expected, space.Read(offset, size));
    }

    [Fact]
    public void An_unaligned_read_takes_bytes_from_two_words()
    {
        ConfigSpace space = new(ConfigSpace.ConventionalSize);
        space.Define(0, 4, 0x4433_2211);
        space.Define(4, 4, 0x8877_6655);
        Assert.Equal(0x7766_5544u, space.Read(3, 4));
        Assert.Equal(0x5544u, space.Read(3, 2));
        Assert.Equal(0x3322u, space.Read(1, 2));
    }
}
