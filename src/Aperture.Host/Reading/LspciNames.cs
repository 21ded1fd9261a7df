namespace Aperture.Host.Reading;

/// <summary>Classes by the names that lspci prints without <c>-nn</c> (the PCI ID Repository's): those that decide how a function is treated here.</summary>
internal static class LspciNames
{
    private static readonly (string Name, uint Class)[] Classes =
    [
        ("SCSI storage controller", 0x0100), ("IDE interface", 0x0101), ("RAID bus controller", 0x0104), ("SATA controller", 0x0106),
        ("Serial Attached SCSI controller", 0x0107), ("Non-Volatile memory controller", 0x0108), ("Ethernet controller", 0x0200),
        ("Network controller", 0x0280),
        ("VGA compatible controller", 0x0300), ("3D controller", 0x0302), ("Display controller", 0x0380), ("Multimedia audio controller", 0x0401),
        ("Audio device", 0x0403), ("RAM memory", 0x0500), ("Memory controller", 0x0580), ("Host bridge", 0x0600), ("ISA bridge", 0x0601),
        ("PCI bridge", 0x0604), ("CardBus bridge", 0x0607), ("Bridge", 0x0680), ("Serial controller", 0x0700), ("Communication controller", 0x0780),
        ("PIC", 0x0800), ("IOMMU", 0x0806), ("System peripheral", 0x0880), ("Co-processor", 0x0B40), ("USB controller", 0x0C03), ("SMBus", 0x0C05),
        ("Infiniband controller", 0x0207), ("Encryption controller", 0x1080), ("Performance counters", 0x1101), ("Signal processing controller", 0x1180),
        ("Processing accelerators", 0x1200),
    ];

    /// <summary>The class and subclass that a header's text begins with; null when the name is not known.</summary>
    internal static uint? ClassOf(ReadOnlySpan<char> header)
    {
        foreach ((string name, uint classCode) in Classes)
        {
            if (header.Length > name.Length && header[name.Length] == ':' && header.StartsWith(name, StringComparison.Ordinal))
            {
                return classCode;
            }
        }

        return null;
    }
}
