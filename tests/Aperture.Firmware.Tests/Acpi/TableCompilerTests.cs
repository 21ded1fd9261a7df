using System.Text.RegularExpressions;
using Aperture.Firmware.Acpi;
using Aperture.Firmware.Acpi.Arm;
using Aperture.Firmware.Tests.Fdt;

namespace Aperture.Firmware.Tests.Acpi;

public partial class TableCompilerTests
{
    public static TheoryData<string> Platforms => [.. SamplePlatforms.Names];

    [Theory]
    [MemberData(nameof(Platforms))]
    public void Every_table_disassembles_and_recompiles_to_its_own_bytes_without_a_warning(string platform) =>
        Check(AcpiTables.Build(SamplePlatforms.Get(platform), SamplePlatforms.TablesAt));

    [Theory]
    [MemberData(nameof(VirtTreeTests.Machines), MemberType = typeof(VirtTreeTests))]
    public void So_does_every_table_of_a_machine_of_Arms_kind(string machine) =>
        Check(VirtTables.Build(VirtTreeTests.Get(machine), new GuestAddress(0x4800_0000)));

    private static void Check(AcpiTableSet set)
    {
        Assert.SkipUnless(AcpiTools.Have("iasl"), "iasl is not installed (Debian package acpica-tools)");
        using AcpiTools tools = new();
        foreach (AcpiTable table in set.Tables)
        {
            if (table.Signature is "RSD PTR ")
            {
                // The disassembler finds root pointers by signature and does not print them alone.
                continue;
            }

            string name = table.Signature.ToLowerInvariant();
            string source = Path.Combine(tools.Folder, name + ".dsl");
            (int code, string output) = tools.Run("iasl", "-d", tools.Save(name + ".aml", table.Bytes.Span));
            Assert.True(code == 0 && File.Exists(source), output);
            Assert.DoesNotMatch(Complaint(), output);
            Assert.DoesNotMatch(Complaint(), File.ReadAllText(source));

            // -on: keep paths as they are spelled instead of shortening them.
            string again = Path.Combine(tools.Folder, "again-" + name);
            (code, output) = tools.Run("iasl", "-on", "-p", again, source);
            Assert.True(code == 0, output);
            Assert.DoesNotMatch(Complaint(), output);
            Assert.Contains("0 Errors, 0 Warnings, 0 Remarks", output.Replace("Compilation successful. ", ""), StringComparison.Ordinal);
            byte[] recompiled = File.ReadAllBytes(again + ".aml");

            // The compiler signs the header with its own id and version, so the checksum differs too.
            Assert.Equal(Unsigned(table.Bytes.ToArray(), name), Unsigned(recompiled, name));
        }
    }

    private static byte[] Unsigned(byte[] table, string name)
    {
        if (name != "facs")
        {
            table[9] = 0;
            table.AsSpan(28, 8).Clear();
        }

        return table;
    }

    [GeneratedRegex(@"(?i)\b(error|warning|remark)\b(?!s)|invalid|incorrect|unknown|exceeds|too long|too short", RegexOptions.CultureInvariant)]
    private static partial Regex Complaint();
}
