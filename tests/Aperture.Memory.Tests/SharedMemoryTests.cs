using Aperture.Linux;

namespace Aperture.Memory.Tests;

public class SharedMemoryTests
{
    [Fact]
    public void A_shared_block_is_a_file_that_others_map()
    {
        using RamBlock block = RamBlock.Create("shared", 0x5000, shared: true);
        block.Write(0x4FF8, 0x1122_3344_5566_7788UL);
        Assert.Equal(0, PeerMemory.TryMap(block.File!, 0x4000, 0x1000, writable: true, out PeerMemory? peer));
        byte[] seen = new byte[8];
        Assert.True(peer!.Read(0xFF8, seen));
        Assert.Equal(0x1122_3344_5566_7788UL, BitConverter.ToUInt64(seen));
        Assert.True(peer.Write(0, [1, 2, 3]));
        Assert.Equal(0x03_0201u, block.Read<uint>(0x4000));
        Assert.False(peer.Read(0xFF9, seen));
        Assert.False(peer.Write(ulong.MaxValue, seen));
        peer.Dispose();
        peer.Dispose();
        Assert.False(peer.Read(0, seen));
        Assert.False(peer.Write(0, seen));
    }

    [Fact]
    public void A_large_shared_block_starts_at_a_huge_page()
    {
        using RamBlock block = RamBlock.Create("shared", 8 << 20, shared: true);
        Assert.Equal(0UL, block.HostAddress.Value & ((2 << 20) - 1));
        block.Write(8 * 1024 * 1024 - 1, (byte)7);
        Assert.Equal(7, block.Read<byte>(8 * 1024 * 1024 - 1));
    }

    [Fact]
    public void The_pages_of_a_shared_block_go_back_to_the_host_with_its_owner()
    {
        RamBlock block = RamBlock.Create("shared", 0x1000, shared: true);
        block.Write(0, 5UL);
        Assert.Equal(0, PeerMemory.TryMap(block.File!, 0, 0x1000, writable: false, out PeerMemory? peer));
        byte[] seen = new byte[8];
        Assert.True(peer!.Read(0, seen));
        Assert.Equal(5, seen[0]);
        Assert.False(peer.Write(0, seen));
        block.Dispose();
        Assert.True(peer.Read(0, seen));
        Assert.Equal(0, seen[0]);
        peer.Dispose();
    }

    [Fact]
    public void A_block_of_this_process_alone_has_no_file()
    {
        using RamBlock block = RamBlock.Create("own", 0x1000);
        Assert.Null(block.File);
    }

    [Fact]
    public void Memory_of_another_that_is_not_there_is_refused()
    {
        Assert.Equal(0, MemoryFile.TryMake("peer", 0x2000, 0, out SafeFileDescriptor file));
        using EventFd none = new();
        using (file)
        {
            Assert.Equal(Errno.EINVAL, PeerMemory.TryMap(file, 0, 0x3000, true, out _));
            Assert.Equal(Errno.EINVAL, PeerMemory.TryMap(file, 0x3000, 0x1000, true, out _));
            Assert.Equal(Errno.EINVAL, PeerMemory.TryMap(file, 0, 0, true, out _));
            Assert.Equal(Errno.EINVAL, PeerMemory.TryMap(file, 0x800, 0x1000, true, out _));
            Assert.Equal(Errno.EINVAL, PeerMemory.TryMap(file, ulong.MaxValue, 2, true, out _));
        }

        Assert.Equal(Errno.EINVAL, PeerMemory.TryMap(none.Descriptor, 0, 0x1000, true, out _));
    }

    [Fact]
    public void What_may_only_be_read_is_not_written_and_raises_nothing_where_the_file_may_shrink()
    {
        string path = Path.GetTempFileName();
        try
        {
            File.WriteAllBytes(path, new byte[0x1000]);
            using SafeFileDescriptor file = FileDescriptors.Open(path, OpenFlags.ReadWrite);
            Assert.Equal(0, PeerMemory.TryMap(file, 0, 0x1000, writable: false, out PeerMemory? peer));
            Assert.False(peer!.Write(0, [1]));
            Assert.True(peer.Read(0, new byte[1]));
            peer.Dispose();
        }
        finally
        {
            File.Delete(path);
        }
    }
}
