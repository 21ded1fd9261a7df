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

    /// <summary>The release date of what stands for firmware, MM/DD/YYYY. Guests take an early one, or none, for an old machine's faults.</summary>
    public string FirmwareDate { get; init; } = "01/01/2026";

    /// <summary>Who made the processors and what they are called.</summary>
    public string Processor { get; init; } = "Virtual processor";
}
