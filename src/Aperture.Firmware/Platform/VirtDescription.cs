namespace Aperture.Firmware.Platform;

/// <summary>
/// What the guest is told of a machine of Arm's kind, through a device tree or ACPI, as plain data. The board fills it from what it really decodes, so that
/// neither can disagree with a register.
/// </summary>
public sealed record VirtDescription
{
    /// <summary>
    /// The affinity fields of each processor's MPIDR_EL1 (Arm ARM DDI 0487, D19.2.98: Aff3 in 39:32, Aff2 to Aff0 in 23:0), boot processor first.
    /// </summary>
    public required IReadOnlyList<ulong> Affinities { get; init; }

    /// <summary>Where guest RAM is, by rising address; ranges do not overlap.</summary>
    public required IReadOnlyList<AddressRange> Ram { get; init; }

    /// <summary>The interrupt controller.</summary>
    public required GicFrames Gic { get; init; }

    /// <summary>The PCI Express host bridge.</summary>
    public required PcieRootDescription Pcie { get; init; }

    /// <summary>The serial console, a PL011.</summary>
    public required MappedDevice Uart { get; init; }

    /// <summary>The clock, a PL031.</summary>
    public required MappedDevice Rtc { get; init; }

    /// <summary>The GPIO block, a PL061, whose line <see cref="PowerKeyLine"/> is the power key.</summary>
    public required MappedDevice Gpio { get; init; }

    /// <summary>The GPIO line of the power key.</summary>
    public uint PowerKeyLine { get; init; } = 3;

    /// <summary>The event device's register and interrupt, for guests of ACPI; null on a machine without.</summary>
    public MappedDevice? EventDevice { get; init; }

    /// <summary>The power button's bit of the event device's register.</summary>
    public const uint PowerButtonEvent = 1;

    /// <summary>The guest keeps the BARs and windows that it finds: _DSM function 5 of the host bridge answers 0 (PCI Firmware 3.3 4.6.5).</summary>
    public bool PreservesPci { get; init; } = true;

    /// <summary>The firmware configuration device; null on a machine without.</summary>
    public AddressRange? FwCfg { get; init; }

    /// <summary>The flash banks, code first; empty on a machine without.</summary>
    public IReadOnlyList<AddressRange> Flash { get; init; } = [];

    /// <summary>The processors have the performance monitors (PMUv3), whose interrupt is PPI 7.</summary>
    public bool HasPmu { get; init; }
}

/// <summary>A GICv3 with, where the host has one, its interrupt translation service.</summary>
/// <param name="Distributor">The distributor's frame, 64 KiB.</param>
/// <param name="Redistributors">Runs of redistributors, 128 KiB for each processor, in the processors' order.</param>
/// <param name="Its">The ITS's two frames, 128 KiB; null without, and then no message interrupt arrives.</param>
public sealed record GicFrames(AddressRange Distributor, IReadOnlyList<AddressRange> Redistributors, AddressRange? Its);

/// <summary>A device at a fixed place in memory.</summary>
/// <param name="Range">Its registers.</param>
/// <param name="Spi">Its interrupt as the number of a shared peripheral interrupt, level triggered; INTID and GSIV are 32 more.</param>
public sealed record MappedDevice(AddressRange Range, uint Spi);

/// <summary>A host bridge that is reached through ECAM alone (IEEE 1275 PCI bus binding; Linux' host-generic-pci binding).</summary>
/// <param name="Ecam">Its configuration window.</param>
/// <param name="Io">The memory in which port n is byte n.</param>
/// <param name="Memory32">Memory below 4 GiB that it forwards, addresses unchanged.</param>
/// <param name="Memory64">Memory from 4 GiB up that it forwards, addresses unchanged.</param>
/// <param name="FirstIntxSpi">INTx of pin p (0 for INTA) of root device d arrives at SPI first + (p + d) mod 4.</param>
public sealed record PcieRootDescription(
    EcamRegion Ecam, AddressRange Io, IReadOnlyList<AddressRange> Memory32, IReadOnlyList<AddressRange> Memory64, uint FirstIntxSpi)
{
    /// <summary>Interrupt inputs that the pins share.</summary>
    public const int IntxInputs = 4;

    /// <summary>The input of pin <paramref name="pin"/> (0 for INTA) of root device <paramref name="device"/>.</summary>
    public uint IntxSpi(int device, int pin) => FirstIntxSpi + (uint)((device + pin) % IntxInputs);
}
