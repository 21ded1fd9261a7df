using Aperture.Devices.FwCfg;

namespace Aperture.Board.Pc;

/// <summary>
/// The register by which the operating system says that it has the machine: four bytes behind the configuration device's ports. The DSDT writes
/// <see cref="Take"/> there from <c>_INI</c> of the host bridge, which every operating system that uses ACPI runs before it enumerates PCI below
/// (ACPI 6.5, section 6.5.1), and firmware and boot loaders do not. Reads 1 once that happened, 0 before; other values are dropped.
/// </summary>
internal sealed class HandoverPort(PciBoard board) : IAccessHandler
{
    /// <summary>The first port.</summary>
    public const ushort Port = FwCfgDevice.Port + FwCfgDevice.Length;

    /// <summary>Ports taken.</summary>
    public const ushort Length = 4;

    /// <summary>What is written there.</summary>
    public const uint Take = 1;

    /// <inheritdoc/>
    public AccessResult Read(ulong offset, int size, out ulong value)
    {
        value = offset == 0 && board.IsHandedOver ? 1u : 0u;
        return AccessResult.Ok;
    }

    /// <inheritdoc/>
    public AccessResult Write(ulong offset, int size, ulong value)
    {
        if (offset == 0 && size == Length && value == Take)
        {
            board.HandOver();
        }

        return AccessResult.Ok;
    }
}
