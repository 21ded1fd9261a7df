namespace Aperture.Memory.Tests;

public sealed class RamPopulationTests
{
    private const ulong Size = 40UL << 20;

    [Fact]
    public void Every_page_is_there_afterwards_with_what_was_in_it()
    {
        using RamBlock block = RamBlock.Create("ram", Size);
        block.Write(Size - 8, 0x0123456789abcdefUL);
        Assert.True(Resident(block) < Size);
        using RamPopulation population = new(block);
        population.Wait();
        Assert.SkipWhen(Environment.OSVersion.Version < new Version(5, 14), "MADV_POPULATE_WRITE is there since Linux 5.14");
        Assert.Equal(Size, Resident(block));
        Assert.Equal(0x0123456789abcdefUL, block.Read<ulong>(Size - 8));
        Assert.Equal(0UL, block.Read<ulong>(0));
    }

    [Fact]
    public void It_can_be_given_up_at_once_and_then_leaves_the_memory_alone()
    {
        for (int i = 0; i < 20; i++)
        {
            using RamBlock block = RamBlock.Create("ram", Size);
            new RamPopulation(block).Dispose();
        }
    }

    [Fact]
    public void Memory_of_a_device_is_refused()
    {
        using RamBlock block = RamBlock.Foreign("bar", new HostAddress(0x1000), 0x1000, new MemoryStream());
        Assert.Throws<ArgumentOutOfRangeException>(() => new RamPopulation(block));
    }

    // The kernel's own account: a word for each page of the process, whose bit 63 says that the page is there (Documentation/admin-guide/mm/pagemap.rst).
    private static ulong Resident(RamBlock block)
    {
        const ulong Page = 4096;
        byte[] words = new byte[block.Size / Page * 8];
        using FileStream pagemap = new("/proc/self/pagemap", FileMode.Open, FileAccess.Read, FileShare.ReadWrite, bufferSize: 0);
        pagemap.Position = (long)(block.HostAddress.Value / Page * 8);
        pagemap.ReadExactly(words);
        ulong present = 0;
        for (int i = 7; i < words.Length; i += 8)
        {
            present += (ulong)words[i] >> 7;
        }

        return present * Page;
    }
}
