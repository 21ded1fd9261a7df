using FsCheck;
using FsCheck.Fluent;

namespace Aperture.Memory.Tests;

public class GuestRamTests
{
    [Fact]
    public void Every_byte_of_RAM_is_either_below_the_limit_or_from_4_GiB_on_in_order()
    {
        Prop.ForAll(Gen.Choose(1, 64).ToArbitrary(), Gen.Choose(1, 64).ToArbitrary(), (pages, lowPages) =>
        {
            ulong size = (ulong)pages << 12;
            ulong limit = (ulong)lowPages << 12;
            using GuestRam ram = GuestRam.Create(size, limit);
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

            Assert.Equal(size, ram.LowRange.Size + ram.HighRange.Size);
            Assert.Equal(ram.High is null ? 1 : 2, space.View.Ranges.Length);
            Assert.Equal(ram.LowRange, space.View.Ranges[0].Range);
            Assert.False(memory.TryRead(new GuestAddress(Math.Min(size, limit)), out byte _));
        }).QuickCheckThrowOnFailure();
    }

    [Theory]
    [InlineData(0UL, RamPages.Ordinary, "a memory of 0;")]
    [InlineData(1UL, RamPages.Ordinary, "a memory of 1;")]
    [InlineData(4097UL, RamPages.Ordinary, "a memory of 4097;")]
    [InlineData(3UL << 20, RamPages.Huge2M, "multiple of 2M")]
    public void A_size_that_no_guest_can_have_is_refused_in_one_sentence(ulong size, RamPages pages, string word)
    {
        ApertureException thrown = Assert.Throws<ApertureException>(() => GuestRam.Create(size, 0x8000_0000, pages));
        Assert.Equal(ApertureException.ConfigurationError, thrown.ExitCode);
        Assert.Contains(word, thrown.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void More_than_the_host_has_is_refused_with_both_numbers()
    {
        ApertureException thrown = Assert.Throws<ApertureException>(
            () => GuestRam.Create(16UL << 30, 0x8000_0000, RamPages.Ordinary, hostTotal: 8UL << 30));
        Assert.Equal(ApertureException.ConfigurationError, thrown.ExitCode);
        Assert.Contains("16G", thrown.Message, StringComparison.Ordinal);
        Assert.Contains("8G", thrown.Message, StringComparison.Ordinal);
        Assert.Throws<ApertureException>(() => GuestRam.Create(1UL << 56, 0x8000_0000));
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
