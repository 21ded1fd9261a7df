using Aperture.Kvm;

namespace Aperture.Guest.Tests;

/// <summary>
/// One of Debian's builds of OVMF. The 64-bit one restores CR8 after each interrupt, which ends the lab's emulator (docs/lab.md), so it runs only where this
/// host's KVM is complete; the 32-bit one runs in the lab as well.
/// </summary>
/// <param name="Code">The bank with the code.</param>
/// <param name="Variables">The bank with the variables, as delivered.</param>
internal sealed record OvmfImage(string Code, string Variables)
{
    /// <summary>The build for 64-bit processors, of the installed package.</summary>
    public const string For64Bit = "64-bit";

    /// <summary>The build for 32-bit processors, of Debian 13.</summary>
    public const string For32Bit = "32-bit";

    /// <summary>Finds a build by its name; skips the test where it cannot run.</summary>
    public static OvmfImage Find(string build)
    {
        if (build == For32Bit)
        {
            return new OvmfImage(FirmwareRun.Prepared("OVMF32_CODE_4M.fd"), FirmwareRun.Prepared("OVMF32_VARS_4M.fd"));
        }

        Assert.SkipUnless(
            KvmSystem.Probe64Bit().Runs64Bit,
            "the lab's QEMU ends on an assertion when a guest writes CR8 while an interrupt waits, which 64-bit OVMF's timer handler does (docs/lab.md)");
        OvmfImage found = new("/usr/share/OVMF/OVMF_CODE_4M.fd", "/usr/share/OVMF/OVMF_VARS_4M.fd");
        Assert.SkipUnless(File.Exists(found.Code), $"{found.Code} is not installed (package ovmf)");
        return found;
    }

    /// <summary>Runs it with a private copy of its variables until the guest has printed <paramref name="last"/>.</summary>
    public Task<FirmwareRun> BootAsync(string last, params string[] arguments) => StartAsync($"{Code},vars={Variables},snapshot=on", last, arguments);

    /// <summary>Runs it as one image, which is what the two banks are one after the other.</summary>
    public async Task<FirmwareRun> BootUnifiedAsync(string last, params string[] arguments)
    {
        using TemporaryFile scratch = new([]);
        string file = scratch.Path;
        await File.WriteAllBytesAsync(file, [.. await File.ReadAllBytesAsync(Variables), .. await File.ReadAllBytesAsync(Code)]);
        return await StartAsync(file, last, arguments);
    }

    // The 64-bit build makes page tables for all addresses that the processor has; without 1 GiB pages those of 48 bits fill more than all of this RAM.
    private static Task<FirmwareRun> StartAsync(string firmware, string last, string[] arguments) =>
        FirmwareRun.UntilAsync(last, ["--firmware", firmware, "--phys-bits", "40", "--memory", "512M", .. arguments]);
}
