using System.Globalization;

namespace Aperture.Memory.Tests;

public class RamBlockTests
{
    [Fact]
    public void A_block_is_zero_keeps_what_is_written_and_ends_where_it_says()
    {
        using RamBlock block = RamBlock.Create("test", 0x1800);
        Assert.Equal(-1, block.AsSpan(0, 0x1800).IndexOfAnyExcept((byte)0));
        block.Write(0x17F8, 0x1122334455667788UL);
        Assert.Equal(0x11, block.AsSpan(0x17FF, 1)[0]);
        Assert.Equal(0x55667788U, block.Read<uint>(0x17F8));
        Assert.Equal(0x3344, block.Read<ushort>(0x17FC));
        Assert.Throws<ArgumentOutOfRangeException>(() => block.Read<byte>(0x1800));
        Assert.Throws<ArgumentOutOfRangeException>(() => block.Write(0x17F9, 0UL));
        Assert.Throws<ArgumentOutOfRangeException>(() => block.AsSpan(0x1000, 0x801).Length);
        Assert.Throws<ArgumentOutOfRangeException>(() => block.Read(ulong.MaxValue, new byte[2]));
        Assert.Equal(0, block.AsSpan(0x1800, 0).Length);
    }

    [Fact]
    public void Values_and_spans_agree_at_aligned_and_odd_offsets()
    {
        using RamBlock block = RamBlock.Create("test", 0x1000);
        byte[] bytes = [1, 2, 3, 4, 5, 6, 7, 8, 9];
        for (ulong offset = 0; offset < 9; offset++)
        {
            for (int length = 0; length <= bytes.Length; length++)
            {
                block.AsSpan(0, 64).Clear();
                block.Write(offset, bytes.AsSpan(0, length));
                byte[] back = new byte[length];
                block.Read(offset, back);
                Assert.Equal(bytes.AsSpan(0, length).ToArray(), back);
                Assert.Equal(length, block.AsSpan(0, 64).ToArray().Count(b => b != 0));
            }

            block.Write(offset, bytes);
            Assert.Equal(0x0807060504030201UL, block.Read<ulong>(offset));
        }
    }

    [Fact]
    public void A_block_of_64_GiB_takes_only_the_pages_that_are_touched()
    {
        using RamBlock block = RamBlock.Create("test", 64UL << 30);
        block.Write(0, (byte)1);
        block.Write((64UL << 30) - 1, (byte)2);
        Assert.InRange(ResidentKilobytes(block), 1, 4096); // a huge page each at most
    }

    [Fact]
    public void A_block_that_can_hold_a_huge_page_starts_at_a_multiple_of_one()
    {
        for (ulong megabytes = 2; megabytes < 16; megabytes += 3)
        {
            using RamBlock block = RamBlock.Create("test", megabytes << 20);
            Assert.Equal(0UL, block.HostAddress.Value % (2 << 20));
            block.Write((megabytes << 20) - 8, 0x1122334455667788UL);
            Assert.Equal(0x1122334455667788UL, block.Read<ulong>((megabytes << 20) - 8));
        }
    }

    [Fact]
    public void A_block_stays_mapped_until_its_creator_and_every_space_let_go()
    {
        RamBlock block = RamBlock.Create("test", 0x1000);
        block.Write(0, 0x12345678);
        AddressSpace first = AddressSpace.ForMemory();
        AddressSpace second = AddressSpace.ForMemory();
        foreach (AddressSpace space in (AddressSpace[])[first, second])
        {
            Region region = Region.ForRam("ram", block, 0, 0x1000);
            using AddressChange place = space.Begin();
            place.Place(region, GuestAddress.Zero, 0);
            place.Commit();
        }

        FlatView old = first.View;
        using (AddressChange remove = first.Begin())
        {
            remove.Remove(old.Ranges[0].Region);
            remove.Commit();
        }

        block.Dispose();
        block.Dispose();
        Assert.Equal(0x12345678, old.Ranges[0].Region.Ram!.Read<int>(0)); // a reader with an old view
        first.Dispose();
        first.Dispose();
        Assert.True(new GuestMemory(second).TryRead(GuestAddress.Zero, out int value));
        Assert.Equal(0x12345678, value);
        second.Dispose();
        Assert.False(block.IsMapped);
        Assert.Throws<ObjectDisposedException>(() => block.Read<byte>(0));
        using AddressSpace third = AddressSpace.ForMemory();
        using AddressChange late = third.Begin();
        Assert.Throws<ObjectDisposedException>(() => late.Place(Region.ForRam("ram", block, 0, 0x1000), GuestAddress.Zero, 0));
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void Memory_that_is_disposed_of_and_in_no_place_goes_back_to_the_host_while_old_views_can_still_be_read(bool disposedFirst)
    {
        const ulong Size = 8 << 20;
        RamBlock block = RamBlock.Create("test", Size);
        for (ulong at = 0; at < Size; at += 0x1000)
        {
            block.Write(at, 0x12345678);
        }

        using AddressSpace space = AddressSpace.ForMemory();
        Region region = Region.ForRam("ram", block, 0, Size);
        Change(space, change => change.Place(region, GuestAddress.Zero, 0));
        FlatView old = space.View;
        if (disposedFirst)
        {
            block.Dispose();
        }

        // A move is no removal.
        Change(space, change =>
        {
            change.Remove(region);
            change.Place(region, new GuestAddress(Size), 0);
        });
        Assert.Equal(0x12345678, block.Read<int>(0));
        Assert.InRange(ResidentKilobytes(block), (long)Size >> 10, long.MaxValue);
        Change(space, change => change.Remove(region));
        block.Dispose();
        Assert.Equal(0, ResidentKilobytes(block));
        Assert.Equal(0, old.Ranges[0].Region.Ram!.Read<int>(0x1000));
    }

    [Fact]
    public void Memory_that_is_only_out_of_the_view_keeps_what_is_in_it()
    {
        using RamBlock block = RamBlock.Create("test", 0x1000);
        block.Write(0, 0x12345678);
        using AddressSpace space = AddressSpace.ForMemory();
        Region region = Region.ForRam("ram", block, 0, 0x1000);
        Change(space, change => change.Place(region, GuestAddress.Zero, 0));
        Change(space, change => change.Remove(region));
        Change(space, change => change.Place(region, new GuestAddress(0x1000), 0));
        Assert.True(new GuestMemory(space).TryRead(new GuestAddress(0x1000), out int value));
        Assert.Equal(0x12345678, value);
    }

    [Theory]
    [InlineData(0UL)]
    [InlineData(1UL << 63)]
    [InlineData(ulong.MaxValue)]
    public void A_size_that_cannot_be_is_refused_in_one_sentence(ulong size)
    {
        ApertureException thrown = Assert.Throws<ApertureException>(() => RamBlock.Create("test", size));
        Assert.Equal(ApertureException.ConfigurationError, thrown.ExitCode);
        Assert.StartsWith("test: ", thrown.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_mapping_that_the_host_refuses_says_errno_and_size()
    {
        ApertureException thrown = Assert.Throws<ApertureException>(() => RamBlock.Create("test", 1UL << 60));
        Assert.Equal(ApertureException.HostFailure, thrown.ExitCode);
        Assert.Contains("1048576T", thrown.Message, StringComparison.Ordinal);
        Assert.Contains("errno", thrown.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Huge_pages_that_are_not_there_are_named_with_the_way_to_reserve_them()
    {
        const string Folder = "/sys/kernel/mm/hugepages/hugepages-2048kB";
        Assert.SkipUnless(File.Exists(Folder + "/free_hugepages"), "this host has no 2 MiB huge pages");
        int free = int.Parse(File.ReadAllText(Folder + "/free_hugepages"), CultureInfo.InvariantCulture);
        ulong size = (ulong)(free + 3) << 21;
        ApertureException thrown = Assert.Throws<ApertureException>(() => RamBlock.Create("ram", size - 1, RamPages.Huge2M));
        Assert.Equal(ApertureException.ConfigurationError, thrown.ExitCode);
        Assert.Contains($"needs {free + 3} huge pages of 2M and the host has {free} free", thrown.Message, StringComparison.Ordinal);
        Assert.EndsWith($"echo {free + 3} > {Folder}/nr_hugepages", thrown.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_region_must_lie_inside_its_block()
    {
        using RamBlock block = RamBlock.Create("test", 0x1000);
        Assert.Throws<ArgumentOutOfRangeException>(() => Region.ForRam("r", block, 1, 0x1000));
        Assert.Throws<ArgumentOutOfRangeException>(() => Region.ForRom("r", block, ulong.MaxValue, 2));
        Assert.Throws<ArgumentOutOfRangeException>(() => Region.ForRam("r", block, 0, 0));
        Assert.Equal(1UL, Region.ForRam("r", block, 0xFFF, 1).Size);
    }

    // The resident size of the block's mapping, from /proc/self/smaps.
    private static void Change(AddressSpace space, Action<AddressChange> edit)
    {
        using AddressChange change = space.Begin();
        edit(change);
        change.Commit();
    }

    private static long ResidentKilobytes(RamBlock block)
    {
        string start = block.HostAddress.Value.ToString("x", CultureInfo.InvariantCulture) + "-";
        bool inside = false;
        foreach (string line in File.ReadLines("/proc/self/smaps"))
        {
            if (line.StartsWith(start, StringComparison.Ordinal))
            {
                inside = true;
            }
            else if (inside && line.StartsWith("Rss:", StringComparison.Ordinal))
            {
                return long.Parse(line[4..^3].Trim(), CultureInfo.InvariantCulture);
            }
        }

        return -1;
    }
}
