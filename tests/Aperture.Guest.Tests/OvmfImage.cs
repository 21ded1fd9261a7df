using Aperture.Firmware.Uefi;
using Aperture.Kvm;
using Aperture.Lab;

namespace Aperture.Guest.Tests;

/// <summary>
/// One of Debian's builds of OVMF. The 64-bit one restores CR8 after each interrupt, which ends QEMU as it is (docs/lab.md), so it runs where this host's KVM
/// is complete and where the lab's emulator bears it; the 32-bit one runs in any.
/// </summary>
/// <param name="Code">The bank with the code.</param>
/// <param name="Variables">The bank with the variables, as delivered.</param>
internal sealed record OvmfImage(string Code, string Variables)
{
    /// <summary>The build for 64-bit processors, of Debian 13.</summary>
    public const string For64Bit = "64-bit";

    /// <summary>The build for 32-bit processors, of Debian 13.</summary>
    public const string For32Bit = "32-bit";

    private static readonly Lazy<EmulatorProbe> Probe = new(() => EmulatorProbe.Of(LabEmulator.Locate(LabArtifacts.Locate()), LabArtifacts.Locate()));

    /// <summary>Finds a build by its name; skips the test where it cannot run.</summary>
    public static OvmfImage Find(string build)
    {
        if (build == For64Bit)
        {
            SkipWhereItEndsTheLab();
        }

        string name = build == For64Bit ? "OVMF" : "OVMF32";
        return new OvmfImage(FirmwareRun.Prepared($"{name}_CODE_4M.fd"), FirmwareRun.Prepared($"{name}_VARS_4M.fd"));
    }

    /// <summary>
    /// The installed 64-bit build if it is one that maps all addresses by pages of 2 MiB, as Debian 12's is; skips the test where it is another.
    /// </summary>
    public static OvmfImage FindInSmallPages()
    {
        OvmfImage installed = new("/usr/share/OVMF/OVMF_CODE_4M.fd", "/usr/share/OVMF/OVMF_VARS_4M.fd");
        Assert.SkipUnless(File.Exists(installed.Code), $"{installed.Code} is not installed (package ovmf)");
        bool small = SecurityCore.MachineOf(File.ReadAllBytes(installed.Code)) == SecurityCore.Ia32;
        Assert.SkipUnless(small, $"{installed.Code} begins in 64-bit code, so it maps by pages of 1 GiB");
        SkipWhereItEndsTheLab();
        return installed;
    }

    /// <summary>Skips the test where 64-bit OVMF would end the lab's emulator, and says what was found of that.</summary>
    private static void SkipWhereItEndsTheLab()
    {
        if (!KvmSystem.Probe64Bit().Runs64Bit)
        {
            Assert.SkipUnless(Probe.Value.Sound, Probe.Value.Finding);
            TestContext.Current.SendDiagnosticMessage(Probe.Value.Finding);
        }
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

    // With as many address bits as Aperture chooses.
    private static Task<FirmwareRun> StartAsync(string firmware, string last, string[] arguments) =>
        FirmwareRun.UntilAsync(last, ["--firmware", firmware, "--memory", "512M", .. arguments]);
}
