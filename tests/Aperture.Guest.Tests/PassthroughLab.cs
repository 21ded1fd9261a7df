using System.Globalization;
using System.Security.Cryptography;
using Aperture.Lab;
using Aperture.Lab.Hardware;

namespace Aperture.Guest.Tests;

/// <summary>What one step of a script printed, and how it ended.</summary>
/// <param name="ExitCode">The command's exit code; 124 when it had to be ended, -1 when the step never ran or never ended.</param>
/// <param name="Output">Standard output and standard error.</param>
internal sealed record PassthroughStep(int ExitCode, string Output)
{
    /// <summary>The guest's lines for programs, without their mark, that start with <paramref name="word"/>.</summary>
    public IReadOnlyList<string[]> Lines(string word) =>
        [.. Output.Split('\n').Select(l => l.Trim()).Where(l => l.StartsWith($"APERTURE {word} ", StringComparison.Ordinal)).Select(l => l.Split(' ')[1..])];
}

/// <summary>
/// A shell script in a machine of the lab with its devices, whose steps start virtual machines with passed-through devices. Each step has a name, its own
/// output and its own
/// exit code.
/// </summary>
internal sealed class PassthroughLab
{
    private readonly Dictionary<string, PassthroughStep> _steps;

    private PassthroughLab(string output, string error)
    {
        All = output + error;
        _steps = Parse(output);
        // A failure shows one step; whoever looks for its cause may want the rest.
        if (Environment.GetEnvironmentVariable("APERTURE_TEST_KEEP") is { Length: > 0 } folder)
        {
            File.WriteAllText(Path.Combine(folder, $"passthrough-{DateTime.UtcNow:HHmmss}.txt"), All);
        }
    }

    /// <summary>Everything that the script printed.</summary>
    public string All { get; }

    /// <summary>SHA-256, in hexadecimal, of the first 4 MiB of a new drive of the lab.</summary>
    public static string PatternHash(string drive)
    {
        byte[] pattern = new byte[LabNvme.PatternBytes];
        for (int sector = 0; sector < pattern.Length / 512; sector++)
        {
            LabNvme.Pattern(drive, sector, pattern.AsSpan(sector * 512, 512));
        }

        return Convert.ToHexStringLower(SHA256.HashData(pattern));
    }

    /// <summary>What a step left behind.</summary>
    public PassthroughStep this[string name] =>
        _steps.TryGetValue(name, out PassthroughStep? step) ? step : new PassthroughStep(-1, $"the step {name} did not run:\n{All}");

    /// <summary>What the step called <paramref name="name"/> left behind in <paramref name="lab"/>; skips the test where the lab cannot run.</summary>
    public static PassthroughStep Step(PassthroughLab? lab, string name)
    {
        Assert.SkipUnless(Missing is null, Missing ?? "");
        return lab![name];
    }

    /// <summary>The same for a step of VFIO's newer interface, which Debian's kernels lack. The script has a step <c>iommufd</c> that tells.</summary>
    public static PassthroughStep CdevStep(PassthroughLab? lab, string name)
    {
        PassthroughStep step = Step(lab, name);
        Assert.SkipUnless(lab!["iommufd"].ExitCode == 0, "the lab's kernel has no iommufd: ./aperture lab prepare kernel builds one that has");
        return step;
    }

    /// <summary>True where the virtual functions of the lab's network controller work.</summary>
    public static bool HasVirtualFunctions => LabEmulator.Locate(LabArtifacts.Locate()).Has("igb");

    /// <summary>Why the lab cannot run here, or null.</summary>
    public static string? Missing
    {
        get
        {
            LabArtifacts artifacts = LabArtifacts.Locate();
            return artifacts.HasOuter && artifacts.HasPassthrough && artifacts.HasGuest && File.Exists(BareKernel(artifacts))
                ? null
                : $"the lab's kernels are not in {artifacts.Folder}: run ./aperture lab prepare";
        }
    }

    /// <summary>
    /// Runs a script. It has these functions beside the shell's: <c>step NAME COMMAND...</c>; <c>vm CMDLINE OPTION...</c>, which is <c>aperture run</c> with
    /// the
    /// passthrough guest, its serial port on standard output, its events in $events, behind the words of $wrap; <c>bare LINE OPTION...</c>, the same without
    /// events for
    /// lab/guest/bare, whose command line is LINE; <c>pinned</c>, pages pinned for devices; <c>holders</c>, open
    /// descriptors of VFIO devices in all processes. A step whose virtual machine did not end in time is repeated, as emulated machines hang now and then.
    /// </summary>
    /// <param name="script">POSIX shell. It begins in an empty folder, which is $scratch.</param>
    /// <param name="minutes">Limit of the whole script.</param>
    public static async Task<PassthroughLab> RunAsync(string script, int minutes = 8)
    {
        Assert.SkipUnless(Missing is null, Missing ?? "");
        LabJob job = await SharedLab.RunAsync(Variables() + "events=$scratch/events.jsonl\n" + Prelude + script, TimeSpan.FromMinutes(minutes));
        return new PassthroughLab(job.Output, job.Error);
    }

    /// <summary>The same in a machine of its own that does not use its IOMMU.</summary>
    /// <param name="script">POSIX shell.</param>
    public static async Task<PassthroughLab> RunWithoutIommuAsync(string script)
    {
        Assert.SkipUnless(Missing is null, Missing ?? "");
        LabRun run = new("/bin/sh", ["-c", Variables() + "events=/tmp/events.jsonl\n" + Prelude + script])
        {
            Hardware = LabHardware.Passthrough,
            Iommu = false,
            WorkingDirectory = "/tmp",
            Timeout = TimeSpan.FromMinutes(2),
        };
        await using IAsyncDisposable turn = await SharedLab.LendAsync();
        LabResult result = await new LabRunner(LabArtifacts.Locate(), Console.Error).CaptureAsync(run, retries: 1);
        return new PassthroughLab(result.Output, result.Error);
    }

    private static string Variables()
    {
        LabArtifacts artifacts = LabArtifacts.Locate();
        return Checkout.Command(
            "export", "aperture=" + Checkout.Program, "kernel=" + artifacts.PassthroughKernel, "initramfs=" + artifacts.PassthroughInitramfs,
            "cloud_kernel=" + artifacts.GuestKernel, "bare_kernel=" + BareKernel(artifacts)) + "\n";
    }

    private static string BareKernel(LabArtifacts artifacts) => Path.Combine(artifacts.Folder, "passthrough-bare");

    // Periodic ticks in the guest: a lost timer interrupt is then one tick, not the last.
    private const string Prelude =
        """
        limit=60
        ticking="console=ttyS0 quiet panic=-1 lpj=1000000 tsc=reliable no_timer_check nohz=off highres=off mitigations=off"
        vm() {
            line=$1
            shift
            timeout -k 5 $limit $wrap "$aperture" run --accel kvm --kernel "${vm_kernel:-$kernel}" --initramfs "$initramfs" --memory 256M \
                --serial stdio --events $events --cmdline "$ticking $line" "$@" </dev/null
        }
        bare() {
            line=$1
            shift
            timeout -k 5 $limit $wrap "$aperture" run --accel kvm --kernel "$bare_kernel" --memory 64M --serial stdio --cmdline "$line" "$@" </dev/null
        }
        step() {
            name=$1
            shift
            for attempt in 1 2 3; do
                echo "@@begin $name"
                "$@" 2>&1
                code=$?
                echo
                echo "@@end $name $code"
                [ $code -eq 124 ] || break
            done
        }
        pinned() {
            # The counts of each processor are summed up now and then.
            echo 1 >/proc/sys/vm/stat_refresh
            awk '/^nr_foll_pin_acquired/ { a = $2 } /^nr_foll_pin_released/ { r = $2 } END { print a - r }' /proc/vmstat
        }
        holders() { ls -l /proc/[0-9]*/fd 2>/dev/null | grep -c '/dev/vfio\|anon_inode:.*vfio\|/dev/iommu'; }

        """;

    private static Dictionary<string, PassthroughStep> Parse(string output)
    {
        Dictionary<string, PassthroughStep> steps = [];
        string? name = null;
        List<string> lines = [];
        foreach (string line in output.Split('\n').Select(l => l.TrimEnd('\r')))
        {
            string[] words = line.Split(' ');
            if (words[0] == "@@begin")
            {
                (name, lines) = (words[1], []);
                steps[name] = new PassthroughStep(-1, "");
            }
            else if (words[0] == "@@end" && words[1] == name)
            {
                steps[name] = new PassthroughStep(int.Parse(words[2], CultureInfo.InvariantCulture), string.Join('\n', lines));
                name = null;
            }
            else
            {
                lines.Add(line);
            }
        }

        if (name is not null)
        {
            steps[name] = new PassthroughStep(-1, string.Join('\n', lines));
        }

        return steps;
    }
}
