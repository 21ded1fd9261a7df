using FsCheck.Fluent;

namespace Aperture.Memory.Tests;

public class GuestRamTests
{
    private static AddressRange[] Split(ulong size, ulong limit) => size <= limit
        ? [new AddressRange(GuestAddress.Zero, size)]
        : [new AddressRange(GuestAddress.Zero, limit), new AddressRange(GuestRam.HighBase, size - limit)];

    [Fact]
    public void Every_byte_of_RAM_is_in_its_piece_in_order()
    {
        Prop.ForAll(Gen.Choose(1, 64).ToArbitrary(), Gen.Choose(1, 64).ToArbitrary(), (pages, lowPages) =>
        {
            ulong size = (ulong)pages << 12;
            ulong limit = (ulong)lowPages << 12;
            using GuestRam ram = GuestRam.Create(Split(size, limit));
            using AddressSpace space = AddressSpace.ForMemory();
            using (AddressChange change = space.Begin())
            {
                ram.Place(change, 0);
                change.Commit();
            }

            GuestMemory memory = new(space);
            for (ulong offset = 0; offset < size; offset += 0x1000)
            {
                ram.Block.Write(offset, offset);
                GuestAddress address = new(offset < limit ? offset : (1UL << 32) + offset - limit);
                Assert.True(memory.TryRead(address, out ulong value));
                Assert.Equal(offset, value);
            }

            Assert.Equal(size, ram.LowSize + ram.HighSize);
            Assert.Equal(Math.Min(size, limit), ram.LowSize);
            Assert.Equal(ram.Pieces.Select(p => p.Range), space.View.Ranges.ToArray().Select(r => r.Range));
            Assert.False(memory.TryRead(new GuestAddress(Math.Min(size, limit)), out byte _));
        }).Holds();
    }

    [Fact]
    public void Bytes_are_reached_by_address_inside_one_piece_only()
    {
        AddressRange[] pieces = [new(GuestAddress.Zero, 0x2000), new(GuestRam.HighBase, 0x1000), new(GuestRam.HighBase + 0x8000, 0x1000)];
        using GuestRam ram = GuestRam.Create(pieces);
        ram.AsSpan(GuestRam.HighBase + 0x8010, 1)[0] = 7;
        Assert.Equal(7, ram.Block.Read<byte>(0x3010));
        Assert.Throws<ArgumentOutOfRangeException>(() => ram.AsSpan(new GuestAddress(0x1FFF), 2).Length);
        Assert.Throws<ArgumentOutOfRangeException>(() => ram.AsSpan(GuestRam.HighBase + 0x1000, 1).Length);
    }

    [Theory]
    [InlineData(0UL, RamPages.Ordinary, "a memory of 0;")]
    [InlineData(1UL, RamPages.Ordinary, "a memory of 1;")]
    [InlineData(4097UL, RamPages.Ordinary, "a memory of 4097;")]
    [InlineData(3UL << 20, RamPages.Huge2M, "multiple of 2M")]
    public void A_size_that_no_guest_can_have_is_refused_in_one_sentence(ulong size, RamPages pages, string word)
    {
        ApertureException thrown = Assert.Throws<ApertureException>(() => GuestRam.Create(Split(size, 0x8000_0000), pages));
        Assert.Equal(ApertureException.ConfigurationError, thrown.ExitCode);
        Assert.Contains(word, thrown.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void More_than_the_host_has_is_refused_with_both_numbers()
    {
        ApertureException thrown = Assert.Throws<ApertureException>(
            () => GuestRam.Create(Split(16UL << 30, 0x8000_0000), RamPages.Ordinary, hostTotal: 8UL << 30));
        Assert.Equal(ApertureException.ConfigurationError, thrown.ExitCode);
        Assert.Contains("16G", thrown.Message, StringComparison.Ordinal);
        Assert.Contains("8G", thrown.Message, StringComparison.Ordinal);
        Assert.Throws<ApertureException>(() => GuestRam.Create(Split(1UL << 56, 0x8000_0000)));
    }

    [Theory]
    [InlineData("MemTotal:       24684096 kB", true, 24684096UL * 1024)]
    [InlineData("MemTotal: 1 kB", true, 1024UL)]
    [InlineData("MemFree:        24684096 kB", false, 0UL)]
    [InlineData("MemTotal:       24684096", false, 0UL)]
    [InlineData("MemTotal: -1 kB", false, 0UL)]
    [InlineData("MemTotal: 18446744073709551615 kB", false, 0UL)]
    [InlineData("MemTotal: kB", false, 0UL)]
    [InlineData("", false, 0UL)]
    public void The_hosts_memory_is_read_from_its_own_words(string line, bool good, ulong bytes)
    {
        Assert.Equal(good, HostMemory.TryParseTotal(line, out ulong got));
        Assert.Equal(bytes, got);
    }

    [Fact]
    public void This_host_says_how_much_memory_it_has() => Assert.True(HostMemory.TotalBytes() > 1UL << 20);
}
