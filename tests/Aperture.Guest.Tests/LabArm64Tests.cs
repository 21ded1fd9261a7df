using System.Text.RegularExpressions;
using Aperture.Lab;

namespace Aperture.Guest.Tests;

/// <summary>The emulated arm64 machine: KVM's tests of Aperture.Kvm.Tests, made for arm64, on the complete KVM that is in it.</summary>
public sealed partial class LabArm64Tests
{
    private static readonly TimeSpan Limit = TimeSpan.FromSeconds(300);

    [Fact]
    public async Task Guests_of_a_few_instructions_run_on_its_KVM()
    {
        LabArtifacts artifacts = LabArtifacts.Locate();
        string folder = Path.Combine(Checkout.Root(), ".cache", "arm64-tests", "Aperture.Kvm.Tests");
        Assert.SkipUnless(artifacts.Has(LabPlatform.Arm64), $"the arm64 machine's kernel is not in {artifacts.Folder}: run ./aperture lab prepare arm64");
        Assert.SkipUnless(Directory.Exists(folder), $"the tests are not made for arm64 in {folder}: eng/test-arm64 does that");
        LabRun run = new(Path.Combine(folder, "Aperture.Kvm.Tests"), ["-noLogo", "-noColor", "-class", "Aperture.Kvm.Tests.Arm64.*"])
        {
            Platform = LabPlatform.Arm64,
            Timeout = Limit,
        };
        await using IAsyncDisposable machine = await SharedLab.LendAsync();
        LabResult result = await new LabRunner(artifacts, Console.Error).CaptureAsync(run, cancellation: TestContext.Current.CancellationToken);
        TestContext.Current.TestOutputHelper?.WriteLine(result.Output + result.Error);
        Match total = Total().Match(result.Output);
        Assert.True(total.Success && result.ExitCode == 0, result.Output + result.Error);
        Assert.NotEqual("0", total.Groups[1].Value);
    }

    [GeneratedRegex(@"Total: (\d+), Errors: 0, Failed: 0, Skipped: 0,")]
    private static partial Regex Total();
}
