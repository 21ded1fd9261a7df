using System.Diagnostics;

namespace Aperture.Guest.Tests;

/// <summary>The demo's firmware part as a user runs it, with OVMF under a complete KVM or in the lab.</summary>
public sealed class LabFirmwareDemoTests
{
    private static readonly TimeSpan Limit = TimeSpan.FromMinutes(9);

    [Fact]
    public async Task The_demo_shows_the_maps_of_SeaBIOS_and_OVMF_then_the_handed_over_one_beside_the_plan_and_finds_every_BAR_where_it_should_be()
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
        Assert.Contains("OVMF: it started Linux 6.", text, StringComparison.Ordinal);
        Assert.Matches("OVMF +HANDED OVER +APERTURE'S PLAN", text);
        Assert.Contains("11 BARs; each answers where the firmware put it, and after the handover where the plan has it and Linux reads it.", text,
            StringComparison.Ordinal);
        Assert.SkipUnless(text.Contains("SEABIOS: ", StringComparison.Ordinal), "this host has no KVM for SeaBIOS's half");
        Assert.Contains("SEABIOS: SeaBIOS (version", text, StringComparison.Ordinal);
    }
}
