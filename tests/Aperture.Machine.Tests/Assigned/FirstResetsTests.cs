using System.Text;
using Aperture.Linux;
using Aperture.Machine.Assigned;
using Aperture.Machine.Tests.Fakes;
using Aperture.TestKit.Parts.Assigned;

namespace Aperture.Machine.Tests.Assigned;

public sealed class FirstResetsTests
{
    private static readonly PciAddress Gpu = new(0, new Bdf(1, 0, 0));

    [Theory]
    [InlineData(false, 0, false, 1)]
    [InlineData(false, Errno.ENOTTY, true, 1)]
    [InlineData(true, Errno.ENOTTY, false, 0)]
    public void What_starts_unreset_is_told_and_what_the_kernel_resets_when_it_opens_it_is_not_reset_twice(bool canReset, int errno, bool told, int resets)
    {
        using MemoryStream log = new();
        using TestBoard board = TestBoard.WithEvents(log);
        using FakeDevice device = SampleConfig.Teaching();
        device.CanReset = canReset;
        device.ResetErrno = errno;
        FirstResets first = new(board.Events);
        first.Add("gpu", Gpu, device);
        Assert.DoesNotContain("reset", device.Log);
        first.Run();
        first.Run();
        Assert.Equal(resets, device.Log.Count(step => step == "reset"));
        string text = Encoding.UTF8.GetString(log.ToArray());
        Assert.Equal(told, text.Contains("\"vfio.no-reset\"", StringComparison.Ordinal));
        Assert.Equal(told, text.Contains("0000:01:00.0 cannot be reset (it has no reset of its own, and its bus has none either", StringComparison.Ordinal));
    }

    [Fact]
    public void Only_what_comes_now_is_reset_and_what_was_given_back_unused_is_forgotten()
    {
        using TestBoard board = TestBoard.Direct();
        using FakeDevice refused = SampleConfig.Teaching();
        using FakeDevice gpu = SampleConfig.Teaching();
        using FakeDevice audio = SampleConfig.Teaching();
        FirstResets first = new(board.Events);
        foreach (FakeDevice device in new[] { refused, gpu, audio })
        {
            device.CanReset = false;
            first.Add(device == audio ? "audio" : "gpu", Gpu, device);
        }

        first.Add("other", Gpu, refused);
        first.Run(["gpu", "audio"]);
        first.Run();
        Assert.DoesNotContain("reset", refused.Log);
        Assert.All([gpu, audio], device => Assert.Single(device.Log, "reset"));
    }
}
