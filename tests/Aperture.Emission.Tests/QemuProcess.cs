using System.Diagnostics;
using System.Net.Sockets;
using System.Text.Json;

namespace Aperture.Emission.Tests;

/// <summary>QEMU started by an emitted script, without KVM, disk or display, and asked over QMP.</summary>
internal sealed class QemuProcess : IAsyncDisposable
{
    private static readonly TimeSpan Limit = TimeSpan.FromSeconds(120);
    private readonly Process _process;
    private readonly NetworkStream _stream;
    private readonly StreamReader _answers;

    private QemuProcess(Process process, NetworkStream stream)
    {
        _process = process;
        _stream = stream;
        _answers = new StreamReader(stream);
    }

    public static bool IsInstalled =>
        (Environment.GetEnvironmentVariable("PATH") ?? "").Split(':').Any(folder => File.Exists(Path.Combine(folder, "qemu-system-x86_64")));

    public static async Task<QemuProcess> StartAsync(string script, string folder, CancellationToken cancel)
    {
        string socket = Path.Combine(folder, "qmp");
        ProcessStartInfo start = new("/bin/bash", [script, "-accel", "tcg", "-display", "none", "-no-reboot", "-qmp", $"unix:{socket},server=on,wait=off"])
        {
            RedirectStandardError = true,
            RedirectStandardInput = true,
        };
        Process process = Process.Start(start)!;
        try
        {
            Stopwatch waited = Stopwatch.StartNew();
            while (true)
            {
                if (process.HasExited)
                {
                    Assert.Fail($"QEMU ended with {process.ExitCode}: {await process.StandardError.ReadToEndAsync(cancel)}");
                }

                Socket client = new(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
                try
                {
                    await client.ConnectAsync(new UnixDomainSocketEndPoint(socket), cancel);
                    QemuProcess qemu = new(process, new NetworkStream(client, ownsSocket: true));
                    await qemu._answers.ReadLineAsync(cancel);
                    await qemu.AskAsync("qmp_capabilities", cancel);
                    return qemu;
                }
                catch (SocketException) when (waited.Elapsed < Limit)
                {
                    client.Dispose();
                    await Task.Delay(100, cancel);
                }
            }
        }
        catch
        {
            process.Kill();
            process.Dispose();
            throw;
        }
    }

    /// <summary>The root buses once every BAR of every function has an address, and no later change in two looks.</summary>
    public async Task<JsonElement> PciAfterFirmwareAsync(CancellationToken cancel)
    {
        string previous = "";
        for (Stopwatch waited = Stopwatch.StartNew(); waited.Elapsed < Limit;)
        {
            JsonElement buses = await AskAsync("query-pci", cancel);
            string text = buses.GetRawText();
            if (text == previous && !text.Contains("\"address\": -1", StringComparison.Ordinal))
            {
                return buses;
            }

            previous = text;
            await Task.Delay(1000, cancel);
        }

        Assert.Fail($"the firmware left BARs without addresses: {previous}");
        return default;
    }

    public async ValueTask DisposeAsync()
    {
        _answers.Dispose();
        await _stream.DisposeAsync();
        if (!_process.HasExited)
        {
            // The script ends in exec, so this is QEMU itself.
            _process.Kill();
        }

        await _process.WaitForExitAsync();
        _process.Dispose();
    }

    private async Task<JsonElement> AskAsync(string command, CancellationToken cancel)
    {
        using CancellationTokenSource limited = CancellationTokenSource.CreateLinkedTokenSource(cancel);
        limited.CancelAfter(Limit);
        await _stream.WriteAsync(System.Text.Encoding.UTF8.GetBytes($"{{\"execute\": \"{command}\"}}\n"), limited.Token);
        while (true)
        {
            string line = await _answers.ReadLineAsync(limited.Token) ?? throw new IOException("QEMU closed its QMP socket");
            JsonElement answer = JsonDocument.Parse(line).RootElement;
            if (answer.TryGetProperty("return", out JsonElement result))
            {
                return result;
            }

            Assert.False(answer.TryGetProperty("error", out JsonElement error), error.ToString());
        }
    }
}
