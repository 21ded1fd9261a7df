using System.Diagnostics;
using Aperture.Lab;

namespace Aperture.Guest.Tests;

/// <summary>The demo's part with three guests on one device, as a user runs it, on this host's KVM.</summary>
public sealed class MediationDemoTests
{
    private static readonly TimeSpan Limit = TimeSpan.FromMinutes(3);

    [Fact]
    public async Task The_demo_shows_the_pages_of_three_guests_on_one_device_and_ends_in_agreement()
    {
        Assert.SkipUnless(File.Exists(LabArtifacts.Locate().PartitionGuest), "the guest is not there: run ./aperture lab prepare passthrough");
        ProcessStartInfo start = new(Checkout.Program, ["demo", "--part", "mediation"]) { RedirectStandardOutput = true, RedirectStandardError = true };
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
        Assert.SkipWhen(text.Contains("were not started", StringComparison.Ordinal), "this host has no KVM for the guests");
        string[] rows = [.. text.Split('\n').Where(static line => line is ['a' or 'b' or 'c', ' ', ..] && line.EndsWith(" ok", StringComparison.Ordinal))];
        Assert.Equal(16, rows.Length);
        Assert.Equal([.. Enumerable.Range(0, 16)], rows.Select(static row => int.Parse(row.Split(' ', StringSplitOptions.RemoveEmptyEntries)[2])).Order());
        Assert.Contains("3 were revoked and 3 granted again: the mediator's book, its memory and the guests agree.", text, StringComparison.Ordinal);
    }
}
