using Aperture.Pci;

namespace Aperture.Board.Pc;

/// <summary>The identities of host bridges.</summary>
internal static class HostBridgeIdentity
{
    // Firmware for virtual PCs looks for fw_cfg only behind a host bridge with this subsystem.
    private const ushort VirtualMachine = 0x1100;

    /// <summary>An Intel host bridge with device id <paramref name="device"/>.</summary>
    public static PciIdentity For(ushort device, byte revision) =>
        new(PcIds.IntelVendor, device, PcIds.HostBridgeClass, revision, PciIds.VirtioVendor, VirtualMachine);
}
