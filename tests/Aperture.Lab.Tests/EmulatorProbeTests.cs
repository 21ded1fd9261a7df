namespace Aperture.Lab.Tests;

public sealed class EmulatorProbeTests
{
    [Theory]
    [InlineData("echo sound", true, "64-bit OVMF runs in")]
    [InlineData("echo sound; exit 1", false, "ended with code 1")]
    [InlineData("echo wrong", false, "ended with code 0")]
    [InlineData("echo sound; echo 'Bail out! ERROR: assertion failed: (bql_locked())' >&2; kill -ABRT $$", false, "(bql_locked())")]
    public void An_emulator_counts_as_sound_when_the_ROM_says_so_and_it_ends_as_told(string body, bool sound, string said)
    {
        using FakeEmulator fake = new(body);
        File.WriteAllText(fake.Artifacts.EmulatorProbe, "rom");
        EmulatorProbe probe = EmulatorProbe.Of(new LabEmulator(fake.Program), fake.Artifacts);
        Assert.Equal(sound, probe.Sound);
        Assert.Contains(said, probe.Finding, StringComparison.Ordinal);
    }

    [Fact]
    public void Without_the_ROM_or_the_emulator_nothing_is_known_and_it_says_why()
    {
        using FakeEmulator fake = new("echo sound");
        EmulatorProbe without = EmulatorProbe.Of(new LabEmulator(fake.Program), fake.Artifacts);
        Assert.False(without.Sound);
        Assert.Contains("cr8-probe.bin is not there", without.Finding, StringComparison.Ordinal);
        File.WriteAllText(fake.Artifacts.EmulatorProbe, "rom");
        EmulatorProbe absent = EmulatorProbe.Of(new LabEmulator(fake.Program + "-absent"), fake.Artifacts);
        Assert.False(absent.Sound);
        Assert.Contains("is not known", absent.Finding, StringComparison.Ordinal);
    }

    // QEMU as it is ends on its assertion, a mended one does not: nothing else may happen.
    [Fact]
    public void The_ROM_comes_to_a_verdict_in_the_lab_s_own_emulator()
    {
        LabArtifacts artifacts = LabArtifacts.Locate();
        Assert.SkipUnless(File.Exists(artifacts.EmulatorProbe), $"{artifacts.EmulatorProbe} is not there: run ./aperture lab prepare");
        EmulatorProbe probe = EmulatorProbe.Of(LabEmulator.Locate(artifacts), artifacts);
        Assert.True(probe.Sound || probe.Finding.Contains("_locked())", StringComparison.Ordinal), probe.Finding);
    }
}
