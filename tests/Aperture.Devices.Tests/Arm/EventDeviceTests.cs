using Aperture.Devices.Arm;
using Aperture.TestKit.Devices;

namespace Aperture.Devices.Tests.Arm;

public class EventDeviceTests
{
    [Fact]
    public void Reading_gives_what_happened_and_clears_it()
    {
        FakeLine line = new();
        EventDevice device = new(line);
        Assert.Equal(0u, device.In32(0));
        device.Raise(1);
        device.Raise(4);
        Assert.True(line.Level);
        device.Out32(0, 0xFF);
        Assert.Equal(5u, device.In32(0));
        Assert.False(line.Level);
        Assert.Equal(0u, device.In32(0));
        device.Raise(2);
        device.Reset();
        Assert.False(line.Level);
        Assert.Equal(0u, device.In32(0));
    }

    [Theory]
    [InlineData(0, 1)]
    [InlineData(4, 4)]
    [InlineData(0, 8)]
    public void Elsewhere_nothing_answers_and_nothing_is_lost(ulong offset, int size)
    {
        EventDevice device = new(new FakeLine());
        device.Raise(1);
        Assert.Equal(AccessResult.Unclaimed, device.Read(offset, size, out _));
        Assert.Equal(1u, device.In32(0));
    }
}
