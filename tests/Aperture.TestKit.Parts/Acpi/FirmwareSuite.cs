using System.Diagnostics;
using System.Globalization;
using System.Text;
using System.Text.RegularExpressions;
using Aperture.Firmware.Acpi;
using Aperture.Lab;

namespace Aperture.TestKit.Parts.Acpi;

/// <summary>Debian's firmware test suite (fwts) on a set of tables, which it is given as acpidump prints them.</summary>
public static partial class FirmwareSuite
{
    // The first two compare MCFG with the memory of the machine that the suite itself runs on, the third is told of every FADT that is not the newest.
    private static readonly string[] NotOfTheTables = ["MCFGMMIONotReserved", "MMapUnmappable", "FADT revision is outdated"];

    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(60);

    /// <summary>Skips the test where the suite is not to be had.</summary>
    public static void Require() =>
        Assert.SkipUnless(File.Exists(LabArtifacts.Locate().FirmwareTestSuite), "fwts is not here (./aperture lab prepare firmware fetches it)");

    /// <summary>Runs all its tests of ACPI; it must have looked at every table and must not find a fault.</summary>
    public static void Passes(AcpiTableSet set)
    {
        ArgumentNullException.ThrowIfNull(set);
        using TemporaryFolder folder = new();
        string log = Path.Combine(folder.Path, "results.log");
        File.WriteAllText(Path.Combine(folder.Path, "acpidump.log"), string.Concat(set.Tables.Select(Dumped)));
        string output = Run(folder.Path, "--quiet", "--force-clean", "--log-width=1000", "--dumpfile=acpidump.log", $"--results-output={log}", "--acpitests");
        string told = File.Exists(log) ? File.ReadAllText(log) : "";
        Assert.True(told.Contains("Total:", StringComparison.Ordinal), $"fwts ended without a result: {output}");
        IEnumerable<string> faults = Faults().Matches(told).Select(m => m.Value.Trim());
        Assert.Equal("", string.Join('\n', faults.Where(fault => !NotOfTheTables.Any(word => fault.Contains(word, StringComparison.Ordinal)))));
        foreach (AcpiTable table in set.Tables.Where(t => t.Signature is not ("RSD PTR " or "FACS")))
        {
            Assert.Contains($"Table {table.Signature} has correct checksum", told, StringComparison.Ordinal);
        }
    }

    private static string Run(string folder, params string[] arguments)
    {
        ProcessStartInfo start = new(LabArtifacts.Locate().FirmwareTestSuite, arguments)
        {
            WorkingDirectory = folder,
            RedirectStandardOutput = true,
            RedirectStandardError = true,
        };
        using Process process = Process.Start(start)!;
        Task<string> output = process.StandardOutput.ReadToEndAsync();
        Task<string> error = process.StandardError.ReadToEndAsync();
        if (!process.WaitForExit(Patience))
        {
            process.Kill(entireProcessTree: true);
            Assert.Fail("fwts did not end");
        }

        return output.Result + error.Result;
    }

    // A line of address, then 16 bytes a line; the text column is not read.
    private static string Dumped(AcpiTable table)
    {
        string name = table.Signature is "RSD PTR " ? "RSDP" : table.Signature;
        StringBuilder text = new(string.Create(CultureInfo.InvariantCulture, $"{name} @ 0x{table.Address.Value:x16}\n"));
        foreach ((int line, byte[] bytes) in table.Bytes.ToArray().Chunk(16).Index())
        {
            string hex = string.Join(' ', bytes.Select(b => b.ToString("X2", CultureInfo.InvariantCulture)));
            text.Append(CultureInfo.InvariantCulture, $"    {16 * line:X4}: {hex,-47}  {new string('.', bytes.Length)}\n");
        }

        return text.Append('\n').ToString();
    }

    [GeneratedRegex(@"^(FAILED|WARNING|Aborted).*$", RegexOptions.Multiline | RegexOptions.CultureInvariant)]
    private static partial Regex Faults();
}
