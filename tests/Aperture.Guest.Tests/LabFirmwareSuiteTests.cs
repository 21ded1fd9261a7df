using System.Text.RegularExpressions;

namespace Aperture.Guest.Tests;

/// <summary>
/// Debian's firmware test suite inside an unmodified Linux: the tables as they are in force after a direct boot and after each firmware, their methods run by
/// the kernel's interpreter, and what they say against the memory map, SMBIOS and the kernel's log.
/// </summary>
public sealed partial class LabFirmwareSuiteTests
{
    // Without it the kernel keeps the suite from the ECAM window, which it uses itself.
    private const string KernelOptions = $"{GuestRun.KernelOptions} iomem=relaxed aperture.script=suite";

    // Faults of the suite's own:
    //  - it is told of every FADT that is not the newest one;
    //  - its disassembler writes resource templates as bytes, iasl's own too, so that it does not find the address that it looks for in the DSDT.
    private static readonly string[] NotOfTheTables = ["FADT revision is outdated", "HPET Device address was not found in DSDT/SSDT"];

    // What must have been looked at, and not passed over: everywhere, where there is ECAM, and where there is an extended BIOS data area, which UEFI has not.
    private static readonly string[] Looked = ["madt", "fadt", "hpet", "method", "rsdp", "xsdt", "klog", "dmicheck", "crs", "maxreadreq"];
    private const string Ecam = "mcfg";
    private const string LegacyMemory = "ebda";

    private static readonly string[] Devices = ["--memory", "512M", "--device", "test,id=a,bar0=mem32:1M,bar2=mem64p:1G:ram"];

    private static readonly string[] Port = ["--root-port", "id=rp0,memory=16M", "--device", "test,id=b,port=rp0,bar0=mem32:1M,msix=4"];

    [Theory]
    [InlineData("q35")]
    [InlineData("i440fx")]
    public async Task It_finds_no_fault_after_a_direct_boot(string board) => NoFault(await RunAsync(board), [LegacyMemory, .. EcamOf(board)]);

    [Theory]
    [InlineData("q35")]
    [InlineData("i440fx")]
    public async Task It_finds_no_fault_after_SeaBIOS(string board) =>
        NoFault(await RunAsync(board, "--firmware", FirmwareRun.SeaBios), [LegacyMemory, .. EcamOf(board)]);

    [Fact]
    public async Task It_finds_no_fault_after_OVMF()
    {
        string image = $"{FirmwareRun.Prepared("OVMF32_CODE_4M.fd")},vars={FirmwareRun.Prepared("OVMF32_VARS_4M.fd")},snapshot=on";
        NoFault(await RunAsync("q35", "--firmware", image), [Ecam]);
    }

    private static string[] EcamOf(string board) => board == "q35" ? [Ecam] : [];

    private static Task<FirmwareRun> RunAsync(string board, params string[] firmware) => FirmwareRun.UntilAsync(
        "APERTURE done",
        [
            "--machine", board, .. firmware, .. Devices, .. board == "q35" ? Port : [],
            "--kernel", FirmwareRun.Prepared("guest-vmlinuz"), "--initramfs", FirmwareRun.Prepared("suite-initramfs.cpio.gz"), "--cmdline", KernelOptions,
        ]);

    private static void NoFault(FirmwareRun run, IEnumerable<string> lookedBesides)
    {
        string said = run.Serial[(run.Serial.IndexOf("APERTURE begin suite", StringComparison.Ordinal) + 1)..];
        IEnumerable<string> faults = Faults().Matches(said).Select(m => m.Value.Trim());
        Assert.Equal("", string.Join('\n', faults.Where(fault => !NotOfTheTables.Any(word => fault.Contains(word, StringComparison.Ordinal)))));
        foreach (string test in Looked.Concat(lookedBesides))
        {
            Assert.Matches($@"\n{test}: [^\n]*\n+PASSED", said);
        }
    }

    [GeneratedRegex(@"^(FAILED|WARNING|Aborted).*$", RegexOptions.Multiline | RegexOptions.CultureInvariant)]
    private static partial Regex Faults();
}
