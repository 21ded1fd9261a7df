using System.Text.Json;
using Aperture.Lab;

namespace Aperture.Guest.Tests;

/// <summary>
/// Devices that come and go under an unmodified Debian kernel, whose own pciehp driver handles the slots; in the lab, where a control socket and its clients
/// can be together.
/// </summary>
public sealed class LabHotplugTests
{
    private static readonly TimeSpan Limit = TimeSpan.FromMinutes(4);

    [Fact]
    public async Task A_running_guest_sees_devices_come_uses_them_and_sees_them_go()
    {
        LabArtifacts artifacts = LabArtifacts.Locate();
        Assert.SkipUnless(artifacts.HasOuter && artifacts.HasGuest, $"the lab's kernels are not in {artifacts.Folder}: run ./aperture lab prepare");
        string script = $"{Checkout.Command(Checkout.Script("hotplug"))} $out " +
            Checkout.Command(Checkout.Program, artifacts.GuestKernel, artifacts.GuestInitramfs, GuestRun.KernelOptions);
        LabJob job = await SharedLab.RunAsync(script, Limit, retries: 2);
        string[] log = job.Text("events.jsonl").Split('\n', StringSplitOptions.RemoveEmptyEntries);
        Check(job, job.Text("serial.txt"), [.. log.Select(l => JsonDocument.Parse(l).RootElement)]);
    }

    [Fact]
    public async Task Two_functions_that_are_attached_together_are_one_device_to_the_guest_and_leave_together()
    {
        LabArtifacts artifacts = LabArtifacts.Locate();
        Assert.SkipUnless(artifacts.HasOuter && artifacts.HasGuest, $"the lab's kernels are not in {artifacts.Folder}: run ./aperture lab prepare");
        string script = $"{Checkout.Command(Checkout.Script("hotplug"))} $out " +
            Checkout.Command(Checkout.Program, artifacts.GuestKernel, artifacts.GuestInitramfs, GuestRun.KernelOptions, "together");
        LabJob job = await SharedLab.RunAsync(script, Limit, retries: 2);
        string all = $"{job.Output}\n{job.Error}\n{job.Text("serial.txt")}";
        string[] guest = [.. job.Text("serial.txt").Split('\n').Select(l => l.Trim()).Where(l => l.StartsWith("APERTURE ", StringComparison.Ordinal))];
        foreach (string words in new[] { "appeared 0000:01:00.0", "appeared 0000:01:00.1", "vanished 0000:01:00.0", "vanished 0000:01:00.1" })
        {
            Assert.True(guest.Count(l => l.StartsWith($"APERTURE {words}", StringComparison.Ordinal)) == 1, all);
        }

        // Both work: registers, RAM, interrupts.
        Assert.Contains(guest, l => l.StartsWith("APERTURE touch 0000:01:00.0 2 ram", StringComparison.Ordinal)
            && l.Contains(" ok ", StringComparison.Ordinal));
        foreach (string function in new[] { "0000:01:00.0", "0000:01:00.1" })
        {
            Assert.Contains(guest, l => l.StartsWith($"APERTURE touch {function} 0 registers", StringComparison.Ordinal)
                && l.Contains(" ok ", StringComparison.Ordinal));
            Assert.Contains(guest, l => l.StartsWith($"APERTURE irq {function} msix ok", StringComparison.Ordinal));
        }

        string[] said = [.. job.Output.Split('\n', StringSplitOptions.RemoveEmptyEntries)];
        Assert.Equal(4, said.Count(l => l == "= 0"));
        Assert.Contains("gpu is at 01:00.0.", said);
        Assert.Contains("audio is at 01:00.1.", said);
        Assert.Contains("gpu and audio are out.", said);
        Assert.Contains("machine = 0", said);
        string[] log = job.Text("events.jsonl").Split('\n', StringSplitOptions.RemoveEmptyEntries);
        JsonElement[] events = [.. log.Select(l => JsonDocument.Parse(l).RootElement)];
        Assert.Equal(["gpu True", "audio True"], events.Where(e => Kind(e) == "hotplug.removed")
            .Select(e => $"{e.GetProperty("function").GetString()} {e.GetProperty("orderly").GetBoolean()}"));
        Assert.All(events.Where(e => Kind(e) == "map.verified"), e => Assert.Equal(0, e.GetProperty("count").GetInt32()));
    }

    private static void Check(LabJob result, string serial, List<JsonElement> events)
    {
        string all = $"{result.Output}\n{result.Error}\n{serial}";
        string[] guest = [.. serial.Split('\n').Select(l => l.Trim()).Where(l => l.StartsWith("APERTURE ", StringComparison.Ordinal))];

        // The pinned BAR is where the user wants it, the other where the guest put it: in the port's window.
        Assert.True(guest.Any(l => l.StartsWith("APERTURE bar 0000:01:00.0 0 0x00000000e8000000", StringComparison.Ordinal)), all);
        Assert.Contains(guest, l => l.StartsWith("APERTURE bar 0000:01:00.0 2 0x0000000400000000", StringComparison.Ordinal));
        Assert.Contains(guest, l => l.StartsWith("APERTURE touch 0000:01:00.0 0 registers 0x00000000e8000000", StringComparison.Ordinal)
            && l.Contains(" ok ", StringComparison.Ordinal));
        Assert.Contains(guest, l => l.StartsWith("APERTURE touch 0000:01:00.0 2 ram", StringComparison.Ordinal)
            && l.Contains(" ok ", StringComparison.Ordinal));
        Assert.Contains(guest, l => l.StartsWith("APERTURE irq 0000:01:00.0 msix ok", StringComparison.Ordinal));
        Assert.Equal(3, guest.Count(l => l.StartsWith("APERTURE appeared", StringComparison.Ordinal)));
        Assert.Equal(3, guest.Count(l => l.StartsWith("APERTURE vanished", StringComparison.Ordinal)));

        // What each command said and how it ended.
        string[] said = [.. result.Output.Split('\n', StringSplitOptions.RemoveEmptyEntries)];
        Assert.Equal(9, said.Count(l => l == "= 0"));
        Assert.Contains("Everything is as planned.", said);
        Assert.Contains("nic1 is out.", said);
        Assert.Contains("machine = 0", said);
        Assert.DoesNotContain("the socket is still there", said);

        Assert.Equal(["nic1 True", "nic2 False", "nic1 True"], events.Where(e => Kind(e) == "hotplug.removed")
            .Select(e => $"{e.GetProperty("function").GetString()} {e.GetProperty("orderly").GetBoolean()}"));
        Assert.Equal(3, events.Count(e => Kind(e) == "hotplug.added"));
        Assert.All(events.Where(e => Kind(e) == "map.verified"), e => Assert.Equal(0, e.GetProperty("count").GetInt32()));
        Assert.Contains(events, e => Kind(e) == "map.verified" && e.GetProperty("when").GetString() == "end");
    }

    private static string? Kind(JsonElement e) => e.GetProperty("event").GetString();
}
