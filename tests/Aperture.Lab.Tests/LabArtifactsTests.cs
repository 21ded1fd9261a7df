namespace Aperture.Lab.Tests;

public sealed class LabArtifactsTests
{
    [Fact]
    public void The_configured_folder_wins_and_may_be_relative() =>
        Assert.Equal("/home/me/lab", LabArtifacts.Locate("lab", "/opt/aperture", "/home/me").Folder);

    [Fact]
    public void The_checkout_that_holds_the_program_has_the_artefacts()
    {
        using TemporaryFolder checkout = new();
        File.WriteAllText(Path.Combine(checkout.Path, "aperture"), "");
        Directory.CreateDirectory(checkout.In("lab"));
        File.WriteAllText(Path.Combine(checkout.Path, "lab", "prepare"), "");
        string program = Directory.CreateDirectory(checkout.In("src/Aperture.Cli/bin/Release/net10.0")).FullName + "/";
        Assert.Equal(Path.Combine(checkout.Path, ".cache", "lab"), LabArtifacts.Locate(null, program, "/elsewhere").Folder);
    }

    [Fact]
    public void Outside_a_checkout_the_working_directory_s_cache_is_meant() =>
        Assert.Equal("/elsewhere/.cache/lab", LabArtifacts.Locate("", "/usr/bin/", "/elsewhere").Folder);
}
