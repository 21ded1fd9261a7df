using Aperture.Cli.Demo;

namespace Aperture.Cli.Tests;

/// <summary>The demo's firmware part, on this host's KVM.</summary>
public class FirmwareDemoTests
{
    [Fact]
    public void SeaBIOS_maps_the_demos_machine_and_each_BAR_answers_where_it_says_or_where_it_is_pinned()
    {
        using DemoFolder folder = DemoFolder.Make(null);
        TextWriter console = Console.Out;
        using StringWriter output = new();
        try
        {
            Console.SetOut(output);
            Assert.True(FirmwareDemo.Run(folder), output.ToString());
        }
        finally
        {
            Console.SetOut(console);
        }

        string text = output.ToString();
        Assert.SkipUnless(text.Contains("BARs under SeaBIOS", StringComparison.Ordinal), text);
        Assert.StartsWith("SeaBIOS (version", text, StringComparison.Ordinal);
        Assert.Equal(2, text.Split("pinned: it stays").Length - 1);
        Assert.Contains("each answers where SeaBIOS put it", text, StringComparison.Ordinal);
    }
}
