using System.Globalization;

namespace Aperture.Firmware.FwCfg;

/// <summary>
/// Names of boot devices as the file <c>bootorder</c> spells them: the Open Firmware path from the host bridge down (IEEE 1275 PCI bus binding 2.2.1; SeaBIOS
/// docs/Runtime_config.md, OVMF's QemuBootOrderLib). Unit addresses are hexadecimal; function 0 is left out.
/// </summary>
public static class OpenFirmwarePath
{
    /// <summary>A virtio block device.</summary>
    /// <param name="path">From the root bus down, one function per bus, whose bus numbers do not matter; the last is the device.</param>
    public static string VirtioBlock(params IReadOnlyList<Bdf> path) => Pci(path, "scsi") + "/disk@0,0";

    /// <summary>A disk at <paramref name="port"/> of an AHCI controller.</summary>
    public static string AhciDisk(int port, params IReadOnlyList<Bdf> path) =>
        Pci(path, "pci8086,2922") + string.Create(CultureInfo.InvariantCulture, $"/drive@{port:x}/disk@0");

    /// <summary>A network card.</summary>
    public static string Network(params IReadOnlyList<Bdf> path) => Pci(path, "ethernet") + "/ethernet-phy@0";

    /// <summary>An option ROM among the configuration files, such as <c>genroms/linuxboot_dma.bin</c>.</summary>
    public static string Rom(string file) => "/rom@" + file;

    private static string Pci(IReadOnlyList<Bdf> path, string leaf)
    {
        string name = "/pci@i0cf8";
        for (int i = 0; i < path.Count; i++)
        {
            string unit = path[i].Function == 0
                ? string.Create(CultureInfo.InvariantCulture, $"{path[i].Device:x}")
                : string.Create(CultureInfo.InvariantCulture, $"{path[i].Device:x},{path[i].Function:x}");
            name += $"/{(i == path.Count - 1 ? leaf : "pci-bridge")}@{unit}";
        }

        return name;
    }
}
