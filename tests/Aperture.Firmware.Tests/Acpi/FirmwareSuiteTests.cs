using Aperture.Firmware.Acpi;
using Aperture.TestKit.Parts.Acpi;

namespace Aperture.Firmware.Tests.Acpi;

public class FirmwareSuiteTests
{
    // Without the one that has no general-purpose events, which ACPI allows (5.2.9, GPE0_BLK) and the suite does not; no board is like that.
    public static TheoryData<string> Platforms => [.. SamplePlatforms.Names.Where(name => name != "bare")];

    [Theory]
    [MemberData(nameof(Platforms))]
    public void The_firmware_test_suite_finds_no_fault_in_the_tables(string platform)
    {
        FirmwareSuite.Require();
        FirmwareSuite.Passes(AcpiTables.Build(SamplePlatforms.Get(platform), SamplePlatforms.TablesAt));
    }
}
