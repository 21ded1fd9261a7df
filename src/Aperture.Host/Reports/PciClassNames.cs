namespace Aperture.Host.Reports;

/// <summary>Names of the common class codes (PCI Code and ID Assignment 1.11); vendor names are not built in.</summary>
public static class PciClassNames
{
    /// <summary>A name for a 24-bit class code: the subclass where it is known, else the base class, else <c>unknown class</c>.</summary>
    public static string Find(uint classCode) => (classCode >> 8) switch
    {
        0x0100 => "SCSI controller",
        0x0101 => "IDE controller",
        0x0104 => "RAID controller",
        0x0106 => "SATA controller",
        0x0107 => "SAS controller",
        0x0108 => "NVMe controller",
        0x0200 => "Ethernet controller",
        0x0207 => "InfiniBand controller",
        0x0300 => "VGA controller",
        0x0302 => "3D controller",
        0x0403 => "audio device",
        0x0600 => "host bridge",
        0x0601 => "ISA bridge",
        0x0604 => "PCI bridge",
        0x0607 => "CardBus bridge",
        0x0609 => "semi-transparent bridge",
        0x0700 => "serial controller",
        0x0C03 => "USB controller",
        0x0C05 => "SMBus",
        0x0C06 => "InfiniBand controller",
        0x0B40 => "co-processor",
        0x1200 => "processing accelerator",
        _ => BaseClass((byte)(classCode >> 16)),
    };

    private static string BaseClass(byte baseClass) => baseClass switch
    {
        0x00 => "unclassified device",
        0x01 => "storage controller",
        0x02 => "network controller",
        0x03 => "display controller",
        0x04 => "multimedia controller",
        0x05 => "memory controller",
        0x06 => "bridge",
        0x07 => "communication controller",
        0x08 => "system peripheral",
        0x09 => "input device",
        0x0B => "processor",
        0x0C => "serial bus controller",
        0x0D => "wireless controller",
        0x10 => "encryption controller",
        0x11 => "signal processing controller",
        0x12 => "processing accelerator",
        0x13 => "instrumentation",
        _ => "unknown class",
    };
}
