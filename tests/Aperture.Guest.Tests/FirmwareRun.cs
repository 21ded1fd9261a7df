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

    private static readonly TimeSpan Look = TimeSpan.FromMilliseconds(200);

    // Waiting for the lab, which other runs may hold, does not count as the guest's time: its files appear when it starts.
    private static readonly TimeSpan Queue = TimeSpan.FromMinutes(20);
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

    /// <summary>Runs with <paramref name="arguments"/> until the serial port or the screen says <paramref name="last"/>, which it must.</summary>
    public static FirmwareRun Until(string last, params string[] arguments)
    {
        Assert.SkipUnless(File.Exists(SeaBios), $"{SeaBios} is not installed (package seabios)");
        DirectoryInfo folder = Directory.CreateTempSubdirectory("aperture-firmware-");
        string At(string name) => Path.Combine(folder.FullName, name);
        try
        {
            string[] all =
            [
                "run", "--accel", KvmSystem.Probe64Bit().Runs64Bit ? "kvm" : "lab", "--serial", $"file={At("serial")}", "--events", At("events"),
                "--device", $"vga,text={At("screen")}", "--no-reboot", .. arguments,
            ];
            ProcessStartInfo start = new(Checkout.Program, all) { RedirectStandardError = true, RedirectStandardInput = true };
            using Process child = Process.Start(start)!;
            child.StandardInput.Close();
            Task<string> error = child.StandardError.ReadToEndAsync(TestContext.Current.CancellationToken);
            bool seen = Wait(child, last, At);
            child.Kill(entireProcessTree: true);
            child.WaitForExit();
            string[] lines = Text(At("events")).Split('\n');
            FirmwareRun run = new(
                Text(At("serial")), Text(At("screen")), [.. lines.Where(l => l.EndsWith('}')).Select(l => JsonDocument.Parse(l).RootElement)], error.GetAwaiter().GetResult());
            Assert.True(seen, $"'{last}' was not printed.\nserial: {Tail(run.Serial)}\nscreen: {Tail(run.Screen)}\nerror: {Tail(run.Error)}");
            return run;
        }
        finally
        {
            folder.Delete(recursive: true);
        }
    }

    private static bool Wait(Process child, string last, Func<string, string> at)
    {
        Stopwatch queued = Stopwatch.StartNew();
        while (!child.HasExited && !File.Exists(at("serial")) && queued.Elapsed < Queue)
        {
            Thread.Sleep(Look);
        }

        Stopwatch running = Stopwatch.StartNew();
        while (running.Elapsed < Limit)
        {
            bool ended = child.HasExited;
            if (Text(at("serial")).Contains(last, StringComparison.Ordinal) || Text(at("screen")).Contains(last, StringComparison.Ordinal))
            {
                return true;
            }

            if (ended)
            {
                return false;
            }

            Thread.Sleep(Look);
        }

        return false;
    }

    private static string Text(string path)
    {
        if (!File.Exists(path))
        {
            return "";
        }

        using FileStream file = new(path, FileMode.Open, FileAccess.Read, FileShare.ReadWrite | FileShare.Delete);
        using StreamReader reader = new(file);
        return reader.ReadToEnd();
    }

    private static string Tail(string text) => text[Math.Max(0, text.Length - 800)..];
}
