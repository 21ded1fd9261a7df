namespace Aperture.Firmware.Aml;

/// <summary>Where an operation region lies (ACPI 6.5 19.6.100).</summary>
public enum AmlRegionSpace : byte
{
    /// <summary>Guest physical memory.</summary>
    SystemMemory = 0,

    /// <summary>I/O ports.</summary>
    SystemIo = 1,

    /// <summary>The configuration space of the device around the region.</summary>
    PciConfig = 2,
}

/// <summary>The width in which a field's region is accessed (ACPI 6.5 19.6.48).</summary>
public enum AmlFieldAccess : byte
{
    /// <summary>Any width.</summary>
    Any = 0,

    /// <summary>Bytes.</summary>
    Byte = 1,

    /// <summary>Two bytes.</summary>
    Word = 2,

    /// <summary>Four bytes.</summary>
    DWord = 3,
}

/// <summary>One field of a region.</summary>
/// <param name="Name">Its name, or null for bits that are skipped.</param>
/// <param name="Bits">Its width in bits.</param>
public readonly record struct AmlFieldUnit(string? Name, int Bits);
