using Aperture.Virtio.Block;

namespace Aperture.Virtio.Tests;

public sealed class StorageTests : IDisposable
{
    private readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    private string Image(int size, int seed = 1)
    {
        byte[] bytes = new byte[size];
        new Random(seed).NextBytes(bytes);
        string path = Path.Combine(_folder.Path, $"{size}-{seed}.img");
        File.WriteAllBytes(path, bytes);
        return path;
    }

    [Fact]
    public void An_image_reads_and_writes_its_file()
    {
        string path = Image(4096);
        byte[] expected = File.ReadAllBytes(path);
        using (RawImage image = RawImage.Open(path, readOnly: false))
        {
            byte[] read = new byte[1000];
            Assert.Equal(4096UL, image.Size);
            Assert.True(image.Read(100, read));
            Assert.Equal(expected[100..1100], read);
            Assert.True(image.Write(3000, [1, 2, 3]));
            Assert.True(image.Flush());
        }

        expected[3000] = 1;
        expected[3001] = 2;
        expected[3002] = 3;
        Assert.Equal(expected, File.ReadAllBytes(path));
    }

    [Theory]
    [InlineData(0)]
    [InlineData(511)]
    [InlineData(1000)]
    public void An_image_that_is_not_whole_sectors_is_refused_with_its_size(int size)
    {
        ApertureException e = Assert.Throws<ApertureException>(() => RawImage.Open(Image(size), readOnly: true));
        Assert.Contains($"{size} bytes", e.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void An_image_open_for_writing_cannot_be_opened_again_and_readers_share()
    {
        string path = Image(512);
        using (RawImage.Open(path, readOnly: false))
        {
            Assert.Throws<ApertureException>(() => RawImage.Open(path, readOnly: false));
            Assert.Throws<ApertureException>(() => RawImage.Open(path, readOnly: true));
        }

        using RawImage first = RawImage.Open(path, readOnly: true);
        using RawImage second = RawImage.Open(path, readOnly: true);
        Assert.False(first.Write(0, [1]));
        Assert.Throws<ApertureException>(() => RawImage.Open(Path.Combine(_folder.Path, "none"), readOnly: true));
    }

    [Fact]
    public void A_failing_file_is_told_once_a_row_and_never_throws()
    {
        List<string> faults = [];
        string path = Image(8192);
        using RawImage image = RawImage.Open(path, readOnly: true, faults.Add);
        byte[] part = new byte[512];
        using (FileStream file = new(path, FileMode.Open, FileAccess.Write, FileShare.ReadWrite))
        {
            file.SetLength(512);
        }

        Assert.False(image.Read(4096, part));
        Assert.False(image.Read(4096, part));
        Assert.Single(faults);
        Assert.True(image.Read(0, part));
        Assert.False(image.Read(4096, part));
        Assert.Equal(2, faults.Count);
        image.Dispose();
        Assert.False(image.Read(0, part));
    }

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    public void A_snapshot_reads_what_was_written_over_an_image_that_never_changes(int seed)
    {
        const int Size = (3 * SnapshotOverlay.ClusterSize) + 1024;
        string path = Image(Size, seed);
        byte[] original = File.ReadAllBytes(path);
        byte[] model = [.. original];
        Random random = new(seed);
        using (IBlockStorage disk = DiskImage.Open(path, readOnly: false, snapshot: true))
        {
            Assert.False(disk.IsReadOnly);
            for (int i = 0; i < 2000; i++)
            {
                int offset = random.Next(Size);
                byte[] part = new byte[random.Next(Math.Min(Size - offset, random.Next(20) == 0 ? Size : 2000)) + 1];
                if (random.Next(3) == 0)
                {
                    random.NextBytes(part);
                    part.CopyTo(model, offset);
                    Assert.True(disk.Write((ulong)offset, part));
                }
                else
                {
                    Assert.True(disk.Read((ulong)offset, part));
                    Assert.True(model.AsSpan(offset, part.Length).SequenceEqual(part));
                }
            }
        }

        Assert.Equal(original, File.ReadAllBytes(path));
    }

    [Fact]
    public void A_snapshots_file_has_no_name_while_it_is_used()
    {
        string folder = Directory.CreateDirectory(Path.Combine(_folder.Path, "snapshots")).FullName;
        using SnapshotOverlay disk = SnapshotOverlay.Create(RawImage.Open(Image(512), readOnly: true), folder);
        Assert.True(disk.Write(0, new byte[512]));
        Assert.Empty(Directory.GetFileSystemEntries(folder));
        Assert.Throws<ApertureException>(() => SnapshotOverlay.Create(disk, Path.Combine(_folder.Path, "missing")));
    }
}
