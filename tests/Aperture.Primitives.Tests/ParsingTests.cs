namespace Aperture.Primitives.Tests;

public class ParsingTests
{
    [Theory]
    [InlineData("512M", 512UL << 20)]
    [InlineData("64G", 64UL << 30)]
    [InlineData("64GiB", 64UL << 30)]
    [InlineData("0x1000", 4096UL)]
    [InlineData("0x10k", 16384UL)]
    [InlineData("16777215T", 0xFFFFFFUL << 40)]
    [InlineData("0", 0UL)]
    public void A_size_is_a_number_with_a_binary_unit(string text, ulong expected)
    {
        Assert.True(ByteSize.TryParse(text, out ulong bytes));
        Assert.Equal(expected, bytes);
    }

    [Theory]
    [InlineData("")]
    [InlineData("M")]
    [InlineData("-1")]
    [InlineData("+1")]
    [InlineData("1.5G")]
    [InlineData(" 1")]
    [InlineData("1 G")]
    [InlineData("16777216T")]
    [InlineData("18446744073709551616")]
    [InlineData("12iB")]
    [InlineData("0x")]
    public void A_size_that_is_not_one_is_refused(string text) => Assert.False(ByteSize.TryParse(text, out _));

    [Theory]
    [InlineData(0UL, "0")]
    [InlineData(256UL, "256")]
    [InlineData(65536UL, "64K")]
    [InlineData(1UL << 36, "64G")]
    [InlineData(1536UL << 20, "1536M")]
    public void A_size_prints_in_its_largest_whole_unit(ulong bytes, string expected)
    {
        Assert.Equal(expected, ByteSize.Format(bytes));
        Assert.True(ByteSize.TryParse(expected, out ulong back));
        Assert.Equal(bytes, back);
    }

    [Theory]
    [InlineData("00:1f.3", 0x00FB)]
    [InlineData("ff:00.0", 0xFF00)]
    public void A_routing_id_reads_as_lspci_prints_it(string text, int routingId)
    {
        Assert.True(Bdf.TryParse(text, out Bdf bdf));
        Assert.Equal(routingId, bdf.RoutingId);
        Assert.Equal(text, bdf.ToString());
    }

    [Theory]
    [InlineData("00:20.0")]
    [InlineData("00:00.8")]
    [InlineData("100:00.0")]
    [InlineData("1")]
    [InlineData("00:")]
    [InlineData("00:1.")]
    public void A_routing_id_out_of_range_is_refused(string text) => Assert.False(Bdf.TryParse(text, out _));

    [Theory]
    [InlineData(0, 4, 0xFFFFFFFFu)]
    [InlineData(1, 1, 0x0000FF00u)]
    [InlineData(2, 2, 0xFFFF0000u)]
    [InlineData(3, 2, 0xFF000000u)]
    public void Byte_enables_cover_the_bytes_of_the_access(int offset, int size, uint mask) =>
        Assert.Equal(mask, ByteEnable.For(offset, size).BitMask);
}
