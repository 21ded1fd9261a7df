namespace Aperture.Firmware.Acpi;

/// <summary>One finished ACPI structure and the place its pointers count on.</summary>
/// <param name="Signature">Four characters; <c>RSD PTR </c> for the root pointer.</param>
/// <param name="Address">Where it must be copied to.</param>
/// <param name="Bytes">Its bytes, checksums set.</param>
public sealed record AcpiTable(string Signature, GuestAddress Address, ReadOnlyMemory<byte> Bytes);

/// <summary>A complete set of ACPI tables.</summary>
/// <param name="RsdpAddress">The root pointer, for the zero page, the PVH start info or firmware.</param>
/// <param name="Area">The one range that holds every table; ACPI data in e820.</param>
/// <param name="Tables">The tables by rising address.</param>
public sealed record AcpiTableSet(GuestAddress RsdpAddress, AddressRange Area, IReadOnlyList<AcpiTable> Tables);
