using Aperture.Pci;
using Aperture.Placement.Request;

namespace Aperture.Placement.Tests;

public class PinSyntaxTests
{
    [Theory]
    [InlineData("bar0@0x6b8000000000", 0, 0x6b8000000000)]
    [InlineData("bar5=4096", 5, 4096)]
    [InlineData("rom@0xfe000000", BarKinds.RomIndex, 0xfe000000)]
    public void A_pin_is_a_BAR_and_an_address(string text, int index, ulong address)
    {
        Assert.True(PinSyntax.TryParsePin(text, out BarPin pin, out string? error), error);
        Assert.Equal(new BarPin(index, new GuestAddress(address)), pin);
        Assert.Null(error);
    }

    [Theory]
    [InlineData("bar0")]
    [InlineData("")]
    [InlineData("bar6@0x1000")]
    [InlineData("bar@0x1000")]
    [InlineData("Bar0@0x1000")]
    [InlineData("bar0@")]
    [InlineData("bar0@-4096")]
    [InlineData("bar0@ 0x1000")]
    [InlineData("bar0@0x10000000000000000")]
    [InlineData("bar0@host")]
    public void What_is_no_pin_gets_one_sentence_with_the_text(string text)
    {
        Assert.False(PinSyntax.TryParsePin(text, out _, out string? error));
        Assert.Contains($"'{text}'", error, StringComparison.Ordinal);
        Assert.DoesNotContain('\n', error!);
    }

    [Fact]
    public void A_window_is_a_base_and_a_size()
    {
        Assert.True(PinSyntax.TryParseWindow("0x6b8000000000:1T", out AddressRange window, out string? error), error);
        Assert.Equal(Build.Range(0x6b8000000000, Build.T), window);
    }

    [Theory]
    [InlineData("0x1000")]
    [InlineData("0x1000:")]
    [InlineData(":1G")]
    [InlineData("0x1000:0")]
    [InlineData("0xffffffffffffffff:2")]
    [InlineData("1G:1X")]
    public void What_is_no_window_gets_one_sentence_with_the_text(string text)
    {
        Assert.False(PinSyntax.TryParseWindow(text, out _, out string? error));
        Assert.Contains($"'{text}'", error, StringComparison.Ordinal);
    }
}
