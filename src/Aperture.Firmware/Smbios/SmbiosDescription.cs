namespace Aperture.Firmware.Smbios;

/// <summary>What SMBIOS says about the machine beyond its size (SMBIOS 3.7, section 7). Strings of up to 64 printable ASCII characters.</summary>
public sealed record SmbiosDescription
{
    /// <summary>Who made the machine.</summary>
    public string Manufacturer { get; init; } = "Aperture";

    /// <summary>What it is called; null for the chipset's name.</summary>
    public string? Product { get; init; }

    /// <summary>Its version.</summary>
    public string Version { get; init; } = "1";

    /// <summary>Its serial number; empty for none.</summary>
    public string Serial { get; init; } = "";

    /// <summary>Who made the processors and what they are called.</summary>
    public string Processor { get; init; } = "Virtual processor";
}
