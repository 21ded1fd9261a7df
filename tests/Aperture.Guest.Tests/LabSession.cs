using System.Globalization;
using System.IO.Pipelines;
using System.Text;
using Aperture.Lab;
using Aperture.Lab.Hardware;
using Aperture.Linux;

namespace Aperture.Guest.Tests;

/// <summary>What a job in the lab left behind.</summary>
/// <param name="ExitCode">The script's exit code; 124 when it had to be ended.</param>
/// <param name="Output">Its standard output.</param>
/// <param name="Error">Its standard error.</param>
/// <param name="Files">The text of the files that it wrote to $out, by their names.</param>
/// <param name="Dirt">How the machine differs from what it was at first; empty when it does not.</param>
internal sealed record LabJob(int ExitCode, string Output, string Error, IReadOnlyDictionary<string, string> Files, string Dirt)
{
    /// <summary>The text of a file that the job wrote to $out; empty if it did not.</summary>
    public string Text(string name) => Files.GetValueOrDefault(name, "");
}

/// <summary>One machine of the lab that serves jobs one after the other (lab/serve): starting one costs seconds, and one that is warm is quicker.</summary>
internal sealed class LabSession : IAsyncDisposable
{
    // What giving devices back to their drivers and the look at the machine's state may take.
    private static readonly TimeSpan Grace = TimeSpan.FromSeconds(60);

    private readonly ScratchFolder _folder = new("aperture-session-");
    private readonly CancellationTokenSource _end = new();
    private readonly Pipe _input = new();
    private readonly Printed _output = new();
    private readonly Printed _error = new();
    private readonly Task<int> _run;
    private int _jobs;

    private LabSession(LabArtifacts artifacts)
    {
        Dictionary<string, string> environment = [];
        if (Environment.GetEnvironmentVariable("DOTNET_ROOT") is { Length: > 0 } root)
        {
            environment["DOTNET_ROOT"] = root;
        }

        File.WriteAllBytes(Path.Combine(_folder.Path, "own.rom"), RomImage.Own);
        File.WriteAllBytes(Path.Combine(_folder.Path, "given.rom"), RomImage.Given);
        LabRun run = new("/bin/bash", [Checkout.Script("serve"), _folder.Path])
        {
            Hardware = Hardware(Path.Combine(_folder.Path, "own.rom")),
            Environment = environment,
            WorkingDirectory = "/",
            WritableDirectories = [_folder.Path],
        };
        LabStreams streams = new(_input.Reader.AsStream(), _output, _error);
        _run = Task.Run(() => new LabRunner(artifacts, Console.Error).RunAsync(run, streams, _end.Token));
    }

    /// <summary>The test that it served last.</summary>
    public string? LastTest { get; set; }

    /// <summary>Starts a machine and returns when it takes jobs.</summary>
    /// <exception cref="ApertureException">It did not start.</exception>
    public static async Task<LabSession> StartAsync(LabArtifacts artifacts)
    {
        LabSession session = new(artifacts);
        if (await session.WaitAsync(session._output.UntilAsync("@@ready"), Timeout.InfiniteTimeSpan) is not null)
        {
            return session;
        }

        Task<int> run = session._run;
        await session.DisposeAsync();
        throw new InvalidOperationException($"the machine's command ended with exit code {await run} before it took jobs");
    }

    /// <summary>Runs a script of bash; null when the machine hung or ended, and then it is of no more use.</summary>
    public async Task<LabJob?> RunAsync(string script, TimeSpan limit)
    {
        int number = ++_jobs;
        DirectoryInfo folder = Directory.CreateDirectory(Path.Combine(_folder.Path, number.ToString(CultureInfo.InvariantCulture)));
        await File.WriteAllTextAsync(Path.Combine(folder.FullName, "command"), script);
        await _input.Writer.WriteAsync(Encoding.ASCII.GetBytes($"{number} {(int)limit.TotalSeconds}\n"));
        string mark = $"@@done {number} ";
        Task<(string Before, string Mark)> output = _output.UntilAsync(mark);
        Task<(string Before, string Mark)> error = _error.UntilAsync(mark);
        if (await WaitAsync(output, limit + Grace) is not { } said || await WaitAsync(error, Grace) is not { } complained)
        {
            return null;
        }

        string[] words = said.Mark[mark.Length..].Split(' ', 2);
        string state = words[1].Trim();
        IEnumerable<FileInfo> left = folder.GetDirectories("out").SelectMany(o => o.GetFiles());
        Dictionary<string, string> files = left.ToDictionary(f => f.Name, f => File.ReadAllText(f.FullName));
        folder.Delete(recursive: true);
        return new LabJob(int.Parse(words[0], CultureInfo.InvariantCulture), said.Before, complained.Before, files, state == "clean" ? "" : $"({state})");
    }

    /// <inheritdoc/>
    public async ValueTask DisposeAsync()
    {
        await _end.CancelAsync();
        try
        {
            await _run;
        }
        catch (Exception exception) when (exception is OperationCanceledException or ApertureException)
        {
            // It was told to end, or whoever waited for a job learnt that it had.
        }

        _end.Dispose();
        _folder.Dispose();
    }

    // The documented devices, and beside them at 0000:07:00.0 a network controller with an expansion ROM, and below a root port of their own two functions of
    // one slot,
    // 0000:08:00.0 and .1, with no access control between them: one IOMMU group.
    private static LabHardware Hardware(string rom) => LabHardware.Passthrough with
    {
        Devices =
        [
            .. LabHardware.Passthrough.Devices,
            new LabNetwork("labrom0", "rp3", LabNetworkKind.E1000e) { RomFile = rom },
            new LabRootPort("rp4", 0x13),
            new LabNetwork("pair1", "rp4", LabNetworkKind.E1000e) { Function = 1 },
            new LabNetwork("pair0", "rp4", LabNetworkKind.E1000e) { Function = 0 },
        ],
    };

    // Null when the machine ended first or the time is over.
    private async Task<(string Before, string Mark)?> WaitAsync(Task<(string Before, string Mark)> mark, TimeSpan limit)
    {
        using CancellationTokenSource over = new();
        Task first = await Task.WhenAny(mark, _run, Task.Delay(limit, over.Token));
        await over.CancelAsync();
        return first == mark ? await mark : null;
    }

    /// <summary>What a stream of the machine printed since it last said that a job is done.</summary>
    private sealed class Printed : Stream
    {
        private readonly Lock _gate = new();
        private readonly StringBuilder _text = new();
        private readonly Decoder _decoder = Encoding.UTF8.GetDecoder();
        private string _mark = "\0";
        private TaskCompletionSource<(string Before, string Mark)>? _found;

        public override bool CanRead => false;

        public override bool CanSeek => false;

        public override bool CanWrite => true;

        public override long Length => throw new NotSupportedException();

        public override long Position { get => throw new NotSupportedException(); set => throw new NotSupportedException(); }

        /// <summary>What was printed before the next line that begins with <paramref name="mark"/>, and that line.</summary>
        public Task<(string Before, string Mark)> UntilAsync(string mark)
        {
            lock (_gate)
            {
                _mark = mark;
                _found = new(TaskCreationOptions.RunContinuationsAsynchronously);
                Look(0);
                return _found.Task;
            }
        }

        public override void Write(ReadOnlySpan<byte> buffer)
        {
            lock (_gate)
            {
                char[] characters = new char[_decoder.GetCharCount(buffer, flush: false)];
                _decoder.GetChars(buffer, characters, flush: false);
                int from = Math.Max(0, _text.Length - 1024);
                _text.Append(characters);
                Look(from);
            }
        }

        public override void Write(byte[] buffer, int offset, int count) => Write(buffer.AsSpan(offset, count));

        public override ValueTask WriteAsync(ReadOnlyMemory<byte> buffer, CancellationToken cancellationToken = default)
        {
            Write(buffer.Span);
            return ValueTask.CompletedTask;
        }

        public override void Flush()
        {
        }

        public override int Read(byte[] buffer, int offset, int count) => throw new NotSupportedException();

        public override long Seek(long offset, SeekOrigin origin) => throw new NotSupportedException();

        public override void SetLength(long value) => throw new NotSupportedException();

        private void Look(int from)
        {
            if (_found is null)
            {
                return;
            }

            string tail = _text.ToString(from, _text.Length - from);
            int at = tail.IndexOf(_mark, StringComparison.Ordinal);
            int end = at < 0 ? -1 : tail.IndexOf('\n', at);
            if (end < 0)
            {
                return;
            }

            // lab/serve ends the job's last line before its own.
            string before = _text.ToString(0, from + at);
            _text.Remove(0, from + end + 1);
            TaskCompletionSource<(string Before, string Mark)> found = _found;
            _found = null;
            found.SetResult((before.EndsWith('\n') ? before[..^1] : before, tail[at..end]));
        }
    }
}
