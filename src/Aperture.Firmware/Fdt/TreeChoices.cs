namespace Aperture.Firmware.Fdt;

/// <summary>What a device tree says beside the hardware.</summary>
public sealed record TreeChoices
{
    /// <summary>The kernel's command line.</summary>
    public string CommandLine { get; init; } = "";

    /// <summary>The initial RAM file system; empty without.</summary>
    public AddressRange Initramfs { get; init; }

    /// <summary>
    /// Linux keeps the BARs, windows and bus numbers that it finds: <c>linux,pci-probe-only</c> in <c>/chosen</c> (dt-schema, chosen.yaml), where every version
    /// looks for it; in the host bridge's own node 6.1 does not.
    /// </summary>
    public bool KeepsPci { get; init; }

    /// <summary>
    /// The host bridge's node has <c>status = "disabled"</c>, so that edk2 touches no PCI function. The operating system then learns of the bridge from ACPI.
    /// </summary>
    public bool HidesPci { get; init; }

    /// <summary>
    /// Firmware that knows of it is told that PCI is enumerated already: <c>pci-enum-done</c> of <c>/options/upl-params</c> (Universal Payload Specification,
    /// "upl-params").
    /// </summary>
    public bool SaysPciIsDone { get; init; }

    /// <summary>Random bytes for the kernel's generator (<c>rng-seed</c>); empty for none.</summary>
    public ReadOnlyMemory<byte> RandomSeed { get; init; }

    /// <summary>Where the kernel puts itself in its address space (<c>kaslr-seed</c>); null for the same place each time.</summary>
    public ulong? LayoutSeed { get; init; }
}
