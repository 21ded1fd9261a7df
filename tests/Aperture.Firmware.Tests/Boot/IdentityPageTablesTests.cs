using System.Buffers.Binary;
using Aperture.Firmware.Boot.X86;
using FsCheck;
using FsCheck.Fluent;

namespace Aperture.Firmware.Tests.Boot;

public class IdentityPageTablesTests
{
    // The oracle walks the tables as the processor does (SDM 3A 4.5, figures 4-9 and 4-10).
    private static ulong? Walk(ReadOnlySpan<byte> memory, ulong root, ulong address)
    {
        ulong table = root;
        foreach (int shift in new[] { 39, 30, 21, 12 })
        {
            ulong entry = BinaryPrimitives.ReadUInt64LittleEndian(memory[(int)(table - root + ((address >> shift & 511) * 8))..]);
            if ((entry & 1) == 0)
            {
                return null;
            }

            ulong mask = (1UL << shift) - 1;
            if ((entry & 0x80) != 0 && shift is 30 or 21)
            {
                Assert.Equal(0UL, entry & mask & ~0x1FFFUL);
                return (entry & 0x000F_FFFF_FFFF_F000 & ~mask) | (address & mask);
            }

            table = entry & 0x000F_FFFF_FFFF_F000;
        }

        return null;
    }

    [Fact]
    public void Every_address_below_the_limit_maps_to_itself_and_none_above()
    {
        Gen<(int Gib, bool Big, ulong Address)> cases =
            from gib in Gen.Elements(1, 2, 4, 5, 64)
            from big in Gen.Elements(true, false)
            from high in Gen.Choose(0, gib * 2048)
            from low in Gen.Choose(0, (1 << 20) - 1)
            select (gib, big, ((ulong)high << 20) + (ulong)low);
        Prop.ForAll(cases.ToArbitrary(), wanted =>
        {
            const ulong Root = 0x9000;
            byte[] memory = new byte[IdentityPageTables.Size(wanted.Gib, wanted.Big)];
            IdentityPageTables.Write(memory, new GuestAddress(Root), wanted.Gib, wanted.Big);
            ulong? expected = wanted.Address < (ulong)wanted.Gib << 30 ? wanted.Address : null;
            Assert.Equal(expected, Walk(memory, Root, wanted.Address));
        }).Holds();
    }

    [Fact]
    public void Tables_that_do_not_fit_or_are_not_page_aligned_are_refused()
    {
        Assert.Throws<ArgumentOutOfRangeException>(() => IdentityPageTables.Write(new byte[4096], new GuestAddress(0x9000)));
        Assert.Throws<ArgumentOutOfRangeException>(() => IdentityPageTables.Write(new byte[1 << 16], new GuestAddress(0x9008)));
        Assert.Throws<ArgumentOutOfRangeException>(() => IdentityPageTables.Size(0, false));
        Assert.Throws<ArgumentOutOfRangeException>(() => IdentityPageTables.Size(513, true));
    }
}
