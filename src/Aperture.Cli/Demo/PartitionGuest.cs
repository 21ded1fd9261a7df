using System.Diagnostics;
using System.Globalization;

namespace Aperture.Cli.Demo;

/// <summary>
/// A guest of the demo that does what its serial port is told (lab/guest/partition.h): <c>aperture run</c> as a user would start it, as a process of its own.
/// </summary>
internal sealed class PartitionGuest : IDisposable
{
    private static readonly TimeSpan Limit = TimeSpan.FromMinutes(1);

    private readonly Process _process;

    private PartitionGuest(string name, int number, Process process) => (Name, Number, _process) = (name, number, process);

    /// <summary>What the demo calls it.</summary>
    public string Name { get; }

    /// <summary>What it writes to its pages.</summary>
    public int Number { get; }

    /// <summary>Starts it with the function that is served at <paramref name="socket"/>; null when this host has no KVM that runs it.</summary>
    public static PartitionGuest? Start(string name, int number, string kernel, string socket)
    {
        // Without paging the guest reaches addresses below 4 GiB.
        string[] command =
        [
            "run", "--accel", "kvm", "--kernel", kernel, "--memory", "size=32M", "--serial", "stdio",
            "--device", $"vfio-user,socket={socket},id={name},bars=bar0@0xe0000000,bar2@0xe0100000",
        ];
        Console.Error.WriteLine($"demo: aperture {string.Join(' ', command)}");
        ProcessStartInfo start = new(Environment.ProcessPath!, command) { RedirectStandardInput = true, RedirectStandardOutput = true };
        PartitionGuest guest = new(name, number, Process.Start(start)!);
        try
        {
            if (guest.Answer() is ["ready"])
            {
                return guest;
            }
        }
        catch (ApertureException) when (guest._process.WaitForExit(Limit) && guest._process.ExitCode == ApertureException.HostFailure)
        {
            guest.Dispose();
            return null;
        }

        guest.Dispose();
        throw new ApertureException($"the demo's guest {name} does not say that it is ready; see what it printed above.", ApertureException.HostFailure);
    }

    /// <summary>Has it do something; the words of its answer.</summary>
    public string[] Do(string line)
    {
        _process.StandardInput.WriteLine(line);
        _process.StandardInput.Flush();
        return Answer();
    }

    /// <summary>What it finds in a page of its window: a number, or <c>zeros</c>, <c>ones</c>, <c>mixed</c>.</summary>
    public string Look(int page) => Do(string.Create(CultureInfo.InvariantCulture, $"look {page} 1")) is ["page", _, var what] ? what : "nothing";

    /// <summary>The pages that it was told were taken from it, since it asked last.</summary>
    public IReadOnlyList<int> Taken() => [.. Do("taken")[1..].Select(static word => int.Parse(word, CultureInfo.InvariantCulture))];

    /// <inheritdoc/>
    public void Dispose()
    {
        try
        {
            _process.StandardInput.WriteLine("end");
            _process.StandardInput.Close();
        }
        catch (IOException)
        {
            // It is gone already.
        }

        if (!_process.WaitForExit(TimeSpan.FromSeconds(10)))
        {
            _process.Kill(entireProcessTree: true);
            _process.WaitForExit();
        }

        _process.Dispose();
    }

    private string[] Answer()
    {
        const string Mark = "APERTURE ";
        while (true)
        {
            Task<string?> next = _process.StandardOutput.ReadLineAsync();
            string? line = next.Wait(Limit) ? next.Result : null;
            if (line is null)
            {
                throw new ApertureException($"the demo's guest {Name} does not answer; see what it printed above.", ApertureException.HostFailure);
            }

            if (line.StartsWith(Mark, StringComparison.Ordinal))
            {
                return line[Mark.Length..].Split(' ', StringSplitOptions.TrimEntries | StringSplitOptions.RemoveEmptyEntries);
            }
        }
    }
}
