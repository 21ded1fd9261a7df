using System.Runtime.Versioning;
using Aperture.TestKit.Parts.Kernels;

namespace Aperture.Cli.Tests;

/// <summary>Files that are missing, unreadable or not what they should be: one sentence, exit code 2, nothing started.</summary>
[SupportedOSPlatform("linux")]
public sealed class FileTests(Scratch scratch) : IClassFixture<Scratch>
{
    private static CommandLine.Result Boot(string kernel, params string[] more) =>
        CommandLine.Run(["run", "--accel", "kvm", "--serial", "null", "--kernel", kernel, .. more]);

    private string Kernel() => scratch.File("bzImage", SyntheticKernels.BzImage());

    [Fact]
    public void A_kernel_that_is_missing_empty_a_folder_or_garbage_is_told()
    {
        Boot(scratch.Path("nowhere")).IsOneSentence(2, "kernel", "nowhere", "does not exist");
        Boot(scratch.File("empty", [])).IsOneSentence(2, "kernel", "empty");
        Boot(scratch.Folder).IsOneSentence(2, "kernel", "directory");
        Boot(scratch.File("garbage", [.. Enumerable.Range(0, 65536).Select(i => (byte)(i * 7))])).IsOneSentence(2, "garbage");
        Boot(scratch.File("short", [0x7F, (byte)'E', (byte)'L', (byte)'F'])).IsOneSentence(2, "short");
        Boot("/dev/null").IsOneSentence(2, "/dev/null");
    }

    [Theory]
    [InlineData(16)]
    [InlineData(512)]
    [InlineData(1000)]
    public void A_kernel_cut_short_is_told(int length) =>
        Boot(scratch.File($"cut-{length}", SyntheticKernels.BzImage()[..length])).IsOneSentence(2, $"cut-{length}");

    [Fact]
    public void With_the_lab_in_sight_a_bad_kernel_is_still_one_sentence() =>
        CommandLine.Run("run", "--kernel", scratch.File("noise", new byte[4096])).IsOneSentence(2, "noise");

    [Fact]
    public void An_initramfs_that_is_missing_or_larger_than_RAM_is_told()
    {
        string kernel = Kernel();
        Boot(kernel, "--initramfs", scratch.Path("nowhere")).IsOneSentence(2, "initramfs", "nowhere");
        Boot(kernel, "--memory", "64M", "--initramfs", scratch.Sparse("huge", 65 << 20)).IsOneSentence(2, "initramfs", "huge");
        Boot(kernel, "--memory", "1M").IsOneSentence(2, "kernel");
        Boot(kernel, "--cmdline", new string('x', 100_000)).IsOneSentence(2, "command line");
    }

    [Fact]
    public void A_firmware_image_that_is_missing_empty_a_folder_or_too_large_is_told()
    {
        CommandLine.Run("run", "--firmware", scratch.Path("nowhere")).IsOneSentence(2, "--firmware", "nowhere");
        CommandLine.Run("run", "--firmware", scratch.File("none", [])).IsOneSentence(2, "0 bytes", "16 MiB");
        CommandLine.Run("run", "--firmware", scratch.Folder).IsOneSentence(2, "--firmware");
        CommandLine.Run("run", "--firmware", scratch.Sparse("big", (16 << 20) + 1)).IsOneSentence(2, "16 MiB");
    }

    [Fact]
    public void Events_and_serial_output_that_cannot_be_written_are_told()
    {
        string rom = scratch.Exits(1);
        CommandLine.Run("run", "--firmware", rom, "--events", scratch.Path("no/such/events")).IsOneSentence(2, "Events", "no/such");
        CommandLine.Run("run", "--firmware", rom, "--serial", "file=" + scratch.Path("no/such/serial")).IsOneSentence(2, "--serial", "no/such");
        CommandLine.Run("run", "--firmware", rom, "--events", scratch.Folder).IsOneSentence(2, "Events");
    }

    [Fact]
    public void A_file_that_this_user_may_not_read_is_told()
    {
        string kernel = Kernel();
        File.SetUnixFileMode(kernel, UnixFileMode.None);
        string[] command = [CommandLine.Program, "run", "--accel", "kvm", "--serial", "null", "--kernel", kernel];

        // Root may read every file by these two capabilities.
        CommandLine.Result result = Environment.IsPrivilegedProcess
            ? CommandLine.Start("setpriv", ["--bounding-set=-dac_override,-dac_read_search", "--inh-caps=-dac_override,-dac_read_search", .. command])
            : CommandLine.Start(command[0], command[1..]);
        result.IsOneSentence(2, "may not be read");
    }

    [Fact]
    public void A_wrong_command_line_leaves_no_file_behind()
    {
        string events = scratch.Path("untouched");
        File.WriteAllText(events, "precious");
        CommandLine.Run("run", "--firmware", scratch.Exits(1), "--events", events, "--device", "test,id=a,bar0=mem32:4K,bars=bar0@0xfee00000").IsOneSentence(2);
        Assert.Equal("precious", File.ReadAllText(events));
    }

    [Fact]
    public void Without_KVM_the_command_lines_faults_come_first_and_its_absence_is_the_hosts()
    {
        CommandLine.Result possible = CommandLine.Start("unshare", "-m", "true");
        Assert.SkipUnless(possible.Code == 0 && File.Exists("/dev/kvm"), "hiding /dev/kvm needs a mount namespace, and /dev/kvm to hide");
        CommandLine.Result Hidden(params string[] arguments) => CommandLine.Start(
            "unshare", ["-m", "sh", "-c", "mount --bind /dev/null /dev/kvm && exec \"$0\" run --accel kvm --serial null \"$@\"", CommandLine.Program,
                .. arguments]);
        string rom = scratch.Exits(1);
        Hidden("--firmware", rom).IsOneSentence(3, "/dev/kvm");
        Hidden("--firmware", rom, "--device", "test,id=a,bar0=mem32:4K,bars=bar0@0xfee00000").IsOneSentence(2, "a bar0");
        Hidden("--firmware", rom, "--events", "/no/such/folder/events").IsOneSentence(2, "Events");
        Hidden("--kernel", scratch.File("junk", new byte[100])).IsOneSentence(2, "junk");
        Hidden("--kernel", Kernel(), "--memory", "64M", "--initramfs", scratch.Sparse("vast", 65 << 20)).IsOneSentence(2, "initramfs");
        Hidden("--firmware", rom, "--memory", "8T").IsOneSentence(2, "does not fit");
    }
}
