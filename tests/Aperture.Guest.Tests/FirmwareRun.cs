using System.Diagnostics;
using System.Text.Json;
using Aperture.Kvm;
using Aperture.Lab;

namespace Aperture.Guest.Tests;

/// <summary>
/// One run of the built <c>aperture</c> with firmware, ended as soon as the guest has printed what the test waits for: most of what firmware starts never
/// ends by itself.
/// </summary>
internal sealed class FirmwareRun
{
    /// <summary>Debian's SeaBIOS.</summary>
    public const string SeaBios = "/usr/share/seabios/bios-256k.bin";

    private static readonly TimeSpan Limit = TimeSpan.FromSeconds(360);

    private FirmwareRun(string serial, string screen, IReadOnlyList<JsonElement> events, string error)
    {
        Serial = serial;
        Screen = screen;
        Events = events;
        Error = error;
    }

    /// <summary>What the guest printed on the serial port.</summary>
    public string Serial { get; }

    /// <summary>What its screen said, one screen after the other.</summary>
    public string Screen { get; }

    /// <summary>The event log as far as it is complete.</summary>
    public IReadOnlyList<JsonElement> Events { get; }

    /// <summary>Standard error.</summary>
    public string Error { get; }

    /// <summary>The events of one kind.</summary>
    public IReadOnlyList<JsonElement> EventsOf(string kind) => [.. Events.Where(e => e.GetProperty("event").GetString() == kind)];

    /// <summary>The lines for programs whose first word is <paramref name="word"/>, without their mark, in words (docs/lab.md).</summary>
    public IReadOnlyList<string[]> Lines(string word) =>
        [.. Serial.Split('\n').Select(l => l.Trim()).Where(l => l.StartsWith($"APERTURE {word} ", StringComparison.Ordinal)).Select(l => l.Split(' ')[1..])];

    /// <summary>What <c>./aperture lab prepare firmware</c> made; the test is skipped where it is absent.</summary>
    public static string Prepared(string name)
    {
        string file = Path.Combine(LabArtifacts.Locate().Folder, name);
        Assert.SkipUnless(File.Exists(file), $"{file} is not there: run ./aperture lab prepare firmware");
        return file;
    }

    /// <summary>The options with which firmware starts Debian's kernel and the tests' user space, with <paramref name="commandLine"/>.</summary>
    public static string[] Kernel(string commandLine) =>
        ["--kernel", Prepared("guest-vmlinuz"), "--initramfs", Prepared("guest-initramfs.cpio.gz"), "--cmdline", commandLine];

    /// <summary>Runs with <paramref name="arguments"/> until the serial port or the screen says <paramref name="last"/>, which it must.</summary>
    public static async Task<FirmwareRun> UntilAsync(string last, params string[] arguments)
    {
        Assert.SkipUnless(File.Exists(SeaBios), $"{SeaBios} is not installed (package seabios)");
        string script = $"{Checkout.Command([Checkout.Script("until"), last, Checkout.Program, "run", "--accel", "kvm", "--no-reboot", .. arguments])} " +
            "--serial file=$out/serial --events $out/events --device vga,text=$out/screen";
        LabJob job = KvmSystem.Probe64Bit().Runs64Bit ? await LocalAsync(script) : await SharedLab.RunAsync(script, Limit);

        // The program was ended while it wrote: the last event may be half of one.
        JsonElement[] events = [.. job.Text("events").Split('\n').Where(l => l.EndsWith('}')).Select(l => JsonDocument.Parse(l).RootElement)];
        FirmwareRun run = new(job.Text("serial"), job.Text("screen"), events, job.Error);
        Assert.True(job.ExitCode == 0, $"'{last}' was not printed.\nserial: {Tail(run.Serial)}\nscreen: {Tail(run.Screen)}\nerror: {Tail(run.Error)}");
        return run;
    }

    // The same as in the lab, on a host with a complete KVM.
    private static async Task<LabJob> LocalAsync(string script)
    {
        using TemporaryFolder folder = new();
        ProcessStartInfo start = new("timeout", ["-k", "5", $"{Limit.TotalSeconds}", "/bin/bash", "-c", script])
        {
            RedirectStandardError = true,
            Environment = { ["out"] = folder.Path },
        };
        using Process child = Process.Start(start)!;
        string error = await child.StandardError.ReadToEndAsync();
        await child.WaitForExitAsync();
        FileInfo[] left = new DirectoryInfo(folder.Path).GetFiles();
        return new LabJob(child.ExitCode, "", error, left.ToDictionary(f => f.Name, f => File.ReadAllText(f.FullName)), "");
    }

    private static string Tail(string text) => text[Math.Max(0, text.Length - 800)..];
}
