namespace Aperture.Firmware.Fdt;

/// <summary>One property of a node (Devicetree Specification 0.4, section 2.2.4).</summary>
/// <param name="Name">1 to 31 characters.</param>
/// <param name="Value">Its bytes; numbers in it are big-endian.</param>
public sealed record FdtProperty(string Name, ReadOnlyMemory<byte> Value);
