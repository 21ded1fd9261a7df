namespace Aperture.Lab.Tests;

public sealed class LabArtifactsTests
{
    [Fact]
    public void The_configured_folder_wins_and_may_be_relative() =>
        Assert.Equal("/home/me/lab", LabArtifacts.Locate("lab", "/opt/aperture", "/home/me").Folder);

    [Fact]
    public void The_checkout_that_holds_the_program_has_the_artefacts()
    {
        DirectoryInfo checkout = Directory.CreateTempSubdirectory("aperture-checkout-");
        try
        {
            File.WriteAllText(Path.Combine(checkout.FullName, "aperture"), "");
            checkout.CreateSubdirectory("lab");
            File.WriteAllText(Path.Combine(checkout.FullName, "lab", "prepare"), "");
            string program = checkout.CreateSubdirectory("src/Aperture.Cli/bin/Release/net10.0").FullName + "/";
            Assert.Equal(Path.Combine(checkout.FullName, ".cache", "lab"), LabArtifacts.Locate(null, program, "/elsewhere").Folder);
        }
        finally
        {
            checkout.Delete(recursive: true);
        }
    }

    [Fact]
    public void Outside_a_checkout_the_working_directory_s_cache_is_meant() =>
        Assert.Equal("/elsewhere/.cache/lab", LabArtifacts.Locate("", "/usr/bin/", "/elsewhere").Folder);
}
