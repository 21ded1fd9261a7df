using System.Diagnostics;

namespace Aperture.Guest.Tests;

/// <summary>The demo's firmware part as a user runs it, with OVMF under a complete KVM or in the lab.</summary>
public sealed class LabFirmwareDemoTests
{
    private static readonly TimeSpan Limit = TimeSpan.FromMinutes(9);

    [Fact]
    public async Task The_demo_shows_the_map_of_SeaBIOS_and_of_OVMF_beside_the_plan_and_finds_every_BAR_where_it_should_be()
    {
        FirmwareRun.Prepared("OVMF32_CODE_4M.fd");
        Assert.SkipUnless(File.Exists(FirmwareRun.SeaBios), $"{FirmwareRun.SeaBios} is not installed (package seabios)");
        await using IAsyncDisposable turn = await SharedLab.LendAsync();
        ProcessStartInfo start = new(Checkout.Program, ["demo", "--part", "firmware"]) { RedirectStandardOutput = true, RedirectStandardError = true };
        using Process demo = Process.Start(start)!;
        Task<string> output = demo.StandardOutput.ReadToEndAsync(TestContext.Current.CancellationToken);
        Task<string> error = demo.StandardError.ReadToEndAsync(TestContext.Current.CancellationToken);
        using CancellationTokenSource limit = new(Limit);
        try
        {
            await demo.WaitForExitAsync(limit.Token);
        }
        catch (OperationCanceledException)
        {
            demo.Kill(entireProcessTree: true);
        }

        string text = await output;
        Assert.True(demo.HasExited && demo.ExitCode == 0, $"{text}\n{await error}");
        Assert.Contains("OVMF: UEFI v", text, StringComparison.Ordinal);
        Assert.Contains("OVMF  APERTURE'S PLAN", text, StringComparison.Ordinal);
        Assert.Contains("11 BARs; each answers where the firmware put it, or where it is pinned.", text, StringComparison.Ordinal);
        Assert.SkipUnless(text.Contains("SEABIOS: ", StringComparison.Ordinal), "this host has no KVM for SeaBIOS's half");
        Assert.Contains("SEABIOS: SeaBIOS (version", text, StringComparison.Ordinal);
    }
}
