using Aperture.Cli.Demo;

namespace Aperture.Cli.Tests;

/// <summary>The demo's firmware part, on this host's KVM; OVMF only where that is complete.</summary>
public class FirmwareDemoTests
{
    [Fact]
    public void SeaBIOS_maps_the_demos_machine_and_each_BAR_answers_where_it_says()
    {
        using DemoFolder folder = DemoFolder.Make(null);
        TextWriter console = Console.Out;
        using StringWriter output = new();
        try
        {
            Console.SetOut(output);
            Assert.True(FirmwareDemo.Run(folder, "kvm"), output.ToString());
        }
        finally
        {
            Console.SetOut(console);
        }

        string text = output.ToString();
        Assert.SkipUnless(text.Contains("SEABIOS: ", StringComparison.Ordinal), text);
        Assert.Contains("SEABIOS: SeaBIOS (version", text, StringComparison.Ordinal);
        Assert.True(text.Contains("OVMF: it started Linux ", StringComparison.Ordinal) || text.Contains("OVMF is not shown: ", StringComparison.Ordinal), text);
        Assert.Equal(2, text.Split(" pinned\n").Length - 1);
        Assert.Contains("each answers where the firmware put it", text, StringComparison.Ordinal);
    }
}
