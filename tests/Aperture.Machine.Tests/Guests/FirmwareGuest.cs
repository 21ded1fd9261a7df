using System.Text.Json;
using Aperture.Configuration;

namespace Aperture.Machine.Tests.Guests;

/// <summary>Runs a firmware of the distribution on this host's KVM and reads what it prints on its debug console.</summary>
internal sealed class FirmwareGuest : IDisposable
{
    /// <summary>Debian's SeaBIOS for boards with 256 KiB of flash.</summary>
    public const string SeaBios = "/usr/share/seabios/bios-256k.bin";

    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(90);
    private readonly TemporaryFolder _folder = new();

    private FirmwareGuest(string firmware, string[] options)
    {
        Guest.RequireKvm();
        Assert.SkipUnless(File.Exists(firmware),
            $"{firmware} is not installed (package {(firmware.Contains("seabios", StringComparison.Ordinal) ? "seabios" : "ovmf")})");
        Options =
        [
            new("--firmware", firmware), new("--serial", "null"), new("--memory", "256M"), new("--device", $"debugcon,file={LogPath}"),
            new("--events", EventsPath),
            .. options.Select(o => o.Split(' ', 2)).Select(o => new Setting(o[0], o.Length > 1 ? o[1] : "")),
        ];
        Machine = VirtualMachine.Create(ConfigReader.Read(Options), TimeProvider.System);
    }

    public IReadOnlyList<Setting> Options { get; }

    public VirtualMachine Machine { get; }

    /// <summary>What the firmware printed, line by line.</summary>
    public IReadOnlyList<string> Log { get; private set; } = [];

    /// <summary>The events.</summary>
    public IReadOnlyList<JsonElement> Events { get; private set; } = [];

    private string LogPath => Path.Combine(_folder.Path, "debugcon");

    private string EventsPath => Path.Combine(_folder.Path, "events");

    /// <summary>Runs <paramref name="firmware"/> until it prints <paramref name="last"/>; then the log and the events are complete.</summary>
    public static FirmwareGuest RunUntil(string firmware, string last, params string[] options)
    {
        FirmwareGuest guest = new(firmware, options);
        try
        {
            guest.RunUntil(last);
            return guest;
        }
        catch
        {
            guest.Dispose();
            throw;
        }
    }

    public void Dispose()
    {
        Machine.Dispose();
        _folder.Dispose();
    }

    private void RunUntil(string last)
    {
        bool seen = false;
        using CancellationTokenSource ended = new(Patience);
        Thread watch = new(() =>
        {
            while (!seen && !ended.IsCancellationRequested)
            {
                ended.Token.WaitHandle.WaitOne(20);
                seen = ReadLog().Any(l => l.Contains(last, StringComparison.Ordinal));
            }

            Machine.Stop(seen ? "seen" : "not seen in time");
        });
        watch.Start();
        Machine.Run();
        ended.Cancel();
        watch.Join();

        // Disposal writes out what is left of the log and the events.
        Machine.Dispose();
        Log = ReadLog();
        Events = [.. File.ReadLines(EventsPath).Select(line => JsonDocument.Parse(line).RootElement)];
        Assert.True(seen, $"'{last}' was not printed; the last lines were:\n{string.Join('\n', Log.TakeLast(15))}");
    }

    private string[] ReadLog()
    {
        using FileStream file = new(LogPath, FileMode.Open, FileAccess.Read, FileShare.ReadWrite);
        using StreamReader reader = new(file);
        return reader.ReadToEnd().Split('\n', StringSplitOptions.TrimEntries);
    }
}
