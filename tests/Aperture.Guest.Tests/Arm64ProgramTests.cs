using System.Diagnostics;
using Aperture.Lab;

namespace Aperture.Guest.Tests;

/// <summary>
/// The program for arm64 under user-mode emulation, which has no KVM: verbs that only compute print byte for byte what the program for this machine prints.
/// Each takes its own machine where none is named.
/// </summary>
public sealed class Arm64ProgramTests : IDisposable
{
    private const string Machine =
        "--machine q35 --phys-bits 47 --memory 6G --mmio-window 0x400000000000:0x10000000000 --root-port id=rp1 --device test,id=t0,port=rp1,bar0=mem64p:64G "
        + "--device test,id=t1,bar0=mem32:64K,bar1=io:32,bars=bar0@0xe0000000";

    // An endpoint with a 64-bit BAR of 64 GiB, as lspci prints it.
    private const string Dump =
        "0000:00:02.0 Display controller: Some vendor\n\tRegion 0: Memory at 380000000000 (64-bit, prefetchable) [size=64G]\n"
        + "00: de 10 30 23 06 00 00 00 00 00 80 03 00 00 00 00\n10: 0c 00 00 00 00 38 00 00 00 00 00 00 00 00 00 00\n20: 00 00 00 00 00 00 00 00 00 00 00 00 "
        + "00 00 00 00\n30: 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00\n\n";

    private readonly TemporaryFolder _folder = new();

    public static TheoryData<string> Commands =>
    [
        "--version",
        "--help",
        "run --help",
        "host --host DUMP",
        "host --host DUMP --format json",
        "plan --machine q35 --host DUMP --mirror all --phys-bits 46",
        $"plan {Machine}",
        $"plan {Machine} --format tree",
        $"plan {Machine} --format json",
        $"plan {Machine} --format svg",
        $"plan {Machine} --explain t0/bar0",
        $"plan {Machine} --emit qemu",
        $"plan {Machine} --emit libvirt",
        "plan --machine q35 --phys-bits 36 --device test,id=big,bar0=mem64:64G",
        "plan --device nonsense",
        "plan --machine virt --root-port id=rp1 --device test,id=t0,port=rp1,bar0=mem64p:64G,bars=bar0@0x6b8000000000 --format json",
        "plan --machine virt --phys-bits 36 --memory 4G --device test,id=t0,bar0=mem32:64K",
    ];

    public void Dispose() => _folder.Dispose();

    [Theory]
    [MemberData(nameof(Commands))]
    public async Task What_is_computed_is_the_same_on_arm64(string command)
    {
        string program = Path.Combine(Checkout.Root(), "bin", "aperture-arm64");
        string emulator = Path.Combine(LabArtifacts.Locate().Folder, "qemu-aarch64-static");
        Assert.SkipUnless(File.Exists(program), "the program for arm64 is not there: ./aperture build --arch arm64 makes it");
        Assert.SkipUnless(File.Exists(emulator), "the emulation of arm64 is not there: ./aperture lab prepare arm64 fetches it");
        string dump = Path.Combine(_folder.Path, "dump");
        await File.WriteAllTextAsync(dump, Dump, TestContext.Current.CancellationToken);
        string[] arguments = [.. command.Split(' ').Select(word => word == "DUMP" ? dump : word)];
        (int Code, string Output, string Error) here = await RunAsync(Checkout.Program, arguments);
        (int Code, string Output, string Error) there = await RunAsync(emulator, [program, .. arguments]);
        Assert.NotEmpty(here.Output + here.Error);
        Assert.Equal(here, there);
    }

    private static async Task<(int Code, string Output, string Error)> RunAsync(string program, string[] arguments)
    {
        ProcessStartInfo start = new(program, arguments) { RedirectStandardOutput = true, RedirectStandardError = true, RedirectStandardInput = true };
        using Process process = Process.Start(start)!;
        process.StandardInput.Close();
        Task<string> output = process.StandardOutput.ReadToEndAsync(TestContext.Current.CancellationToken);
        Task<string> error = process.StandardError.ReadToEndAsync(TestContext.Current.CancellationToken);
        await process.WaitForExitAsync(TestContext.Current.CancellationToken);
        return (process.ExitCode, await output, await error);
    }
}
