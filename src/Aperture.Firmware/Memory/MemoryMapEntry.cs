namespace Aperture.Firmware.Memory;

/// <summary>Types of an e820 range (ACPI 6.5 15.3); PVH's memory map uses the same numbers.</summary>
public enum MemoryKind : uint
{
    /// <summary>Usable RAM.</summary>
    Ram = 1,

    /// <summary>Not for the operating system.</summary>
    Reserved = 2,

    /// <summary>ACPI tables; usable once they were read.</summary>
    AcpiData = 3,

    /// <summary>ACPI non-volatile storage.</summary>
    AcpiNvs = 4,

    /// <summary>RAM with errors.</summary>
    Unusable = 5,
}

/// <summary>One range of the memory map.</summary>
/// <param name="Range">Its addresses; not empty.</param>
/// <param name="Kind">What is there.</param>
public sealed record MemoryMapEntry(AddressRange Range, MemoryKind Kind);
