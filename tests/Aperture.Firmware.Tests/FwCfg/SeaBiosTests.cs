using System.Globalization;
using System.Text.RegularExpressions;
using Aperture.Firmware.Acpi;
using Aperture.Firmware.FwCfg;
using Aperture.Firmware.Tests.Acpi;

namespace Aperture.Firmware.Tests.FwCfg;

/// <summary>
/// Unmodified SeaBIOS carries out the loader script: QEMU with its own ACPI tables off hands it our files, and its debug log says what it found.
/// </summary>
public partial class SeaBiosTests
{
    [Theory]
    [InlineData("q35", "small")]
    [InlineData("pc", "i440fx")]
    public void SeaBIOS_places_the_tables_and_finds_the_FADT_and_the_DSDT_through_the_XSDT(string machine, string platform)
    {
        Assert.SkipUnless(AcpiTools.Have("qemu-system-x86_64"), "qemu-system-x86_64 is not installed (Debian package qemu-system-x86)");
        using AcpiTools tools = new();
        FirmwareItemSet items = FirmwareItems.Build(new FirmwareConfiguration { Platform = () => SamplePlatforms.Get(platform) });
        string log = Path.Combine(tools.Folder, "log");

        // Nothing to boot from: SeaBIOS restarts at once, which ends QEMU.
        List<string> arguments =
        [
            "-M", machine + ",acpi=off", "-accel", "tcg", "-m", "256", "-nodefaults", "-display", "none",
            "-boot", "reboot-timeout=0", "-no-reboot",
            "-chardev", "file,id=log,path=" + log, "-device", "isa-debugcon,iobase=0x402,chardev=log",
        ];
        foreach (string name in new[] { "etc/acpi/rsdp", "etc/acpi/tables", "etc/table-loader" })
        {
            string file = tools.Save(name.Replace('/', '-'), LittleFirmware.Read(items.Files[name]));
            arguments.AddRange(["-fw_cfg", $"name={name},file={file}"]);
        }

        (int code, string output) = tools.Run("qemu-system-x86_64", arguments);
        Assert.True(code == 0, output);
        string said = File.ReadAllText(log);
        Match fadt = Fadt().Match(said);
        Match dsdt = Dsdt().Match(said);
        Assert.True(fadt.Success && dsdt.Success, said);

        // As far apart as direct boot puts them, and as long.
        AcpiTableSet direct = AcpiTables.Build(SamplePlatforms.Get(platform), SamplePlatforms.TablesAt);
        AcpiTable directDsdt = direct.Tables.Single(static table => table.Signature == "DSDT");
        AcpiTable directFadt = direct.Tables.Single(static table => table.Signature == "FACP");
        Assert.Equal(directDsdt.Address - directFadt.Address, Hex(dsdt) - Hex(fadt));
        Assert.Equal(directDsdt.Bytes.Length, int.Parse(dsdt.Groups[2].ValueSpan, CultureInfo.InvariantCulture));
    }

    private static ulong Hex(Match match) => ulong.Parse(match.Groups[1].ValueSpan, NumberStyles.HexNumber, CultureInfo.InvariantCulture);

    [GeneratedRegex(@"table\(50434146\)=0x([0-9a-f]+) \(via xsdt\)")]
    private static partial Regex Fadt();

    [GeneratedRegex(@"parse DSDT at 0x([0-9a-f]+) \(len (\d+)\)")]
    private static partial Regex Dsdt();
}
