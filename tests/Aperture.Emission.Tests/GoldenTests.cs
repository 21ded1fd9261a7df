namespace Aperture.Emission.Tests;

/// <summary>Every format of one plan that has something of everything, to the byte.</summary>
public class GoldenTests
{
    public static TheoryData<string> Monitors => [.. Emitter.Names];

    [Theory]
    [MemberData(nameof(Monitors))]
    public void A_configuration_changes_only_on_purpose(string monitor)
    {
        string name = $"{monitor}.txt";
        string path = Path.Combine(AppContext.BaseDirectory, "Golden", name);
        string expected = File.Exists(path) ? File.ReadAllText(path) : "";
        string actual = Emitter.Emit(monitor, Samples.Everything());
        if (expected != actual && Environment.GetEnvironmentVariable("APERTURE_WRITE_GOLDEN") is { Length: > 0 } folder)
        {
            File.WriteAllText(Path.Combine(folder, name), actual);
        }

        Assert.True(expected == actual, $"{name} is now:\n{actual}");
    }

    [Fact]
    public void An_unknown_monitor_is_refused_with_the_names_of_the_known_ones()
    {
        ApertureException refused = Assert.Throws<ApertureException>(() => Emitter.Emit("bochs", Samples.ForQemu()));
        Assert.All(Emitter.Names, name => Assert.Contains(name, refused.Message));
    }

    [Theory]
    [InlineData("qemu", "-fw_cfg name=opt/ovmf/X-PciMmio64Mb,string=131072")]
    [InlineData("libvirt", "<entry name='opt/ovmf/X-PciMmio64Mb'>131072</entry>")]
    public void OVMF_is_told_a_64_bit_window_that_is_larger_than_its_own(string monitor, string item)
    {
        EmissionPlan Plan(ulong size) => Samples.Solve(
            Placement.Platforms.PlatformLimits.Q35(32 * Samples.G, 46),
            new Placement.Request.HostBridgeDemand(
                "pcie.0", [Samples.Bridge("rp1", 1, Samples.Device("gpu", 0, Samples.Bar(0, Pci.BarKind.Memory64Prefetchable, size)))]));
        Assert.Contains(item, Emitter.Emit(monitor, Plan(64 * Samples.G)), StringComparison.Ordinal);
        Assert.DoesNotContain("X-PciMmio64Mb", Emitter.Emit(monitor, Plan(16 * Samples.G)), StringComparison.Ordinal);
    }

    [Fact]
    public void Cloud_Hypervisor_gets_the_planned_device_number_where_its_bus_has_it()
    {
        EmissionPlan plan = Samples.Solve(
            Placement.Platforms.PlatformLimits.Q35(Samples.G, 46),
            new Placement.Request.HostBridgeDemand("pcie.0",
            [
                Samples.Device("mch", 0),
                .. Enumerable.Range(1, 30).Select(device => Samples.Device($"d{device}", device, Samples.Bar(0, Pci.BarKind.Memory32, Samples.M))),
            ]));
        string text = Emitter.Emit("cloud-hypervisor", plan);
        Assert.Contains("id=d7,pci_segment=0,pci_device_id=7", text, StringComparison.Ordinal);
        Assert.Contains("id=d1,pci_segment=0,pci_device_id=31", text, StringComparison.Ordinal);
        Assert.Contains("d2: segment 0 takes 29 devices; it is not written.", text, StringComparison.Ordinal);
    }
}
