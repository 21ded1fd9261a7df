using FsCheck;
using FsCheck.Fluent;

namespace Aperture.Lab.Tests;

public sealed class QemuCommandLineTests
{
    private static readonly LabArtifacts Artifacts = new("/artefacts");

    private static List<string> Build(LabRun run)
    {
        using LabFolder folder = new();
        return QemuCommandLine.Build(Artifacts, run, folder);
    }

    private static IEnumerable<string> Values(List<string> arguments, string option) =>
        arguments.Zip(arguments.Skip(1)).Where(pair => pair.First == option).Select(pair => pair.Second);

    [Fact]
    public void The_machine_gets_the_run_s_memory_processors_and_further_devices_last()
    {
        List<string> arguments = Build(new LabRun("/bin/true", []) { MemoryMiB = 1024, Cpus = 2, QemuArguments = ["-device", "edu"] });
        Assert.Equal("1024", Assert.Single(Values(arguments, "-m")));
        Assert.Equal("2", Assert.Single(Values(arguments, "-smp")));
        Assert.Equal(["-device", "edu"], arguments[^2..]);
        Assert.Equal(Artifacts.OuterKernel, Assert.Single(Values(arguments, "-kernel")));
    }

    [Fact]
    public void Every_outermost_writable_directory_is_one_export_with_its_commas_doubled()
    {
        List<string> arguments = Build(new LabRun("/bin/true", []) { WritableDirectories = ["/b,c/", "/a/inner", "/a", "/a"] });
        string[] exports = [.. Values(arguments, "-fsdev").Where(value => value.Contains("id=rw", StringComparison.Ordinal))];
        Assert.Equal(2, exports.Length);
        Assert.Contains("id=rw0,path=/a,", exports[0], StringComparison.Ordinal);
        Assert.Contains("id=rw1,path=/b,,c,", exports[1], StringComparison.Ordinal);
        Assert.DoesNotContain("readonly", exports[0], StringComparison.Ordinal);
    }

    [Fact]
    public void The_host_s_root_is_exported_read_only()
    {
        string root = Values(Build(new LabRun("/bin/true", [])), "-fsdev").Single(value => value.Contains("path=/,", StringComparison.Ordinal));
        Assert.Contains("readonly=on", root, StringComparison.Ordinal);
    }

    [Fact]
    public void An_arm64_machine_is_started_at_EL2_with_its_own_kernel_and_programs()
    {
        LabRun run = new("/bin/true", []) { Platform = LabPlatform.Arm64 };
        List<string> arguments = Build(run);
        Assert.Equal("virt,virtualization=on,gic-version=3,iommu=smmuv3", Assert.Single(Values(arguments, "-machine")));
        Assert.Equal("virt,virtualization=on,gic-version=3", Assert.Single(Values(Build(run with { Iommu = false }), "-machine")));
        Assert.Equal("/artefacts/arm64-l1-vmlinuz", Assert.Single(Values(arguments, "-kernel")));
        Assert.Equal("/artefacts/arm64-l1-initramfs.cpio.gz", Assert.Single(Values(arguments, "-initrd")));
        Assert.Contains("local,id=own,path=/artefacts/arm64-root,security_model=none,readonly=on,multidevs=remap", Values(arguments, "-fsdev"));
        Assert.Contains("lab.own=own", Assert.Single(Values(arguments, "-append")).Split(' '));
        Assert.DoesNotContain(arguments, argument => argument.Contains("intel", StringComparison.Ordinal));
    }

    [Fact]
    public void No_kept_directory_lies_inside_another_and_every_given_one_lies_inside_a_kept_one()
    {
        Gen<string> directory = Gen.Elements("a", "ab", "b").ArrayOf().Where(parts => parts.Length is > 0 and < 4)
            .Select(parts => "/" + string.Join('/', parts));
        Prop.ForAll(Arb.From(directory.ArrayOf()), given =>
        {
            IReadOnlyList<string> kept = QemuCommandLine.Outermost(given);
            bool covered = given.All(one => kept.Any(outer => Inside(one, outer)));
            bool apart = kept.All(one => kept.Count(outer => Inside(one, outer)) == 1);
            return covered && apart && kept.All(given.Contains);
        }).Holds();

        // The oracle compares components; the code compares prefixes.
        static bool Inside(string path, string outer)
        {
            string[] a = path.Split('/'), b = outer.Split('/');
            return a.Length >= b.Length && a.AsSpan(0, b.Length).SequenceEqual(b);
        }
    }
}
