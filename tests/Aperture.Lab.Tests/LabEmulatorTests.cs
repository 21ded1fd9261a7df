namespace Aperture.Lab.Tests;

public sealed class LabEmulatorTests
{
    // QEMU ended with 1 for a device that it does not know, and ends with 0 since version 10.
    [Theory]
    [InlineData("echo 'igb options:'", true)]
    [InlineData("echo \"Device 'igb' not found\" >&2", false)]
    [InlineData("echo \"Device 'igb' not found\" >&2; exit 1", false)]
    public void An_emulator_has_the_devices_whose_options_it_tells(string body, bool has)
    {
        using FakeEmulator fake = new(body);
        Assert.Equal(has, new LabEmulator(fake.Program).Has("igb"));
    }
}
