namespace Aperture.Firmware.Platform;

/// <summary>What the host bridge forwards to the root bus; becomes its _CRS (ACPI 6.5 6.2.2).</summary>
/// <param name="FirstBus">The root bus (_BBN).</param>
/// <param name="LastBus">The highest bus number below the bridge.</param>
/// <param name="Io">I/O port ranges, each inside 0 to 0xFFFF and without 0xCF8-0xCFF, which the bridge itself consumes.</param>
/// <param name="Memory32">Memory ranges below 4 GiB, without the ECAM window. The VGA range A0000-BFFFF is added by the table builder.</param>
/// <param name="Memory64">Memory ranges told as 64-bit windows, usually above 4 GiB.</param>
public sealed record HostBridgeWindows(
    byte FirstBus,
    byte LastBus,
    IReadOnlyList<AddressRange> Io,
    IReadOnlyList<AddressRange> Memory32,
    IReadOnlyList<AddressRange> Memory64)
{
    /// <summary>The I/O ports of a PC: everything but the configuration mechanism's 0xCF8-0xCFF.</summary>
    public static IReadOnlyList<AddressRange> StandardIo { get; } =
    [
        AddressRange.FromBounds(new GuestAddress(0), new GuestAddress(0xCF7)),
        AddressRange.FromBounds(new GuestAddress(0xD00), new GuestAddress(0xFFFF)),
    ];
}
