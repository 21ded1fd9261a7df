namespace Aperture.Lab.Hardware;

/// <summary>A PCI device of the emulated machine (L1), as its QEMU models it.</summary>
/// <param name="Id">Its name among the devices of one machine; others that sit below it name it.</param>
public abstract record LabDevice(string Id)
{
    /// <summary>QEMU's name of the model, which older versions may lack.</summary>
    internal abstract string Model { get; }

    /// <summary>The QEMU options that make it, each with its value.</summary>
    /// <param name="context">The run's folder and the numbers given out so far.</param>
    internal abstract IEnumerable<(string Option, string Value)> Options(LabDeviceContext context);

    /// <summary>Makes the files that it needs in the run's folder. Most need none.</summary>
    internal virtual void MakeFiles(string folder)
    {
    }
}

/// <summary>A PCI Express root port of L1's host bridge.</summary>
/// <param name="Id">Its name.</param>
/// <param name="Slot">Its device number on bus 0. QEMU gives its own devices the low ones, so these start at 0x10.</param>
public sealed record LabRootPort(string Id, int Slot) : LabDevice(Id)
{
    internal override string Model => "pcie-root-port";

    internal override IEnumerable<(string Option, string Value)> Options(LabDeviceContext context) =>
        [("-device", $"pcie-root-port,id={Id},bus=pcie.0,addr={Slot:x},{context.NextSlot()}")];
}

/// <summary>A PCI Express switch. Its downstream ports are named <c>ID.0</c>, <c>ID.1</c> and so on.</summary>
/// <param name="Id">Its name.</param>
/// <param name="Port">The port above it.</param>
/// <param name="Downstream">How many downstream ports it has.</param>
public sealed record LabSwitch(string Id, string Port, int Downstream) : LabDevice(Id)
{
    internal override string Model => "xio3130-downstream";

    internal override IEnumerable<(string Option, string Value)> Options(LabDeviceContext context)
    {
        yield return ("-device", $"x3130-upstream,id={Id},bus={Port}");
        for (int i = 0; i < Downstream; i++)
        {
            yield return ("-device", $"xio3130-downstream,id={Id}.{i},bus={Id},addr={i:x},{context.NextSlot()}");
        }
    }
}

/// <summary>
/// A network controller that QEMU's user-mode network answers: DHCP, and a host at 10.0.2.2 that replies to ping. It reaches nothing outside.
/// </summary>
/// <param name="Id">Its name.</param>
/// <param name="Port">The port above it.</param>
/// <param name="Kind">The controller.</param>
public sealed record LabNetwork(string Id, string Port, LabNetworkKind Kind) : LabDevice(Id)
{
    /// <summary>
    /// Which function of a multi-function slot it is; null for a slot of its own. Functions of one slot share an IOMMU group. The last of them is function 0.
    /// </summary>
    public int? Function { get; init; }

    /// <summary>The image in its expansion ROM; empty for none.</summary>
    public string RomFile { get; init; } = "";

    internal override string Model => Kind == LabNetworkKind.Igb ? "igb" : "e1000e";

    internal override IEnumerable<(string Option, string Value)> Options(LabDeviceContext context) =>
    [
        ("-netdev", $"user,id=net-{Id},restrict=on"),
        ("-device", $"{Model},id={Id},netdev=net-{Id},bus={Port},romfile={RomFile}{Place}"),
    ];

    private string Place => Function is { } number ? $",addr=0.{number}{(number == 0 ? ",multifunction=on" : "")}" : "";
}

/// <summary>The network controllers that the lab has.</summary>
public enum LabNetworkKind
{
    /// <summary>Intel 82574L: MSI-X, three memory BARs and a port BAR.</summary>
    E1000e,

    /// <summary>Intel 82576: up to seven virtual functions (SR-IOV). QEMU 8 or later.</summary>
    Igb,
}

/// <summary>
/// QEMU's teaching device: MMIO registers, a DMA engine that reaches all addresses (not 28 bits of them, as by itself), INTx and MSI, no reset.
/// </summary>
/// <param name="Id">Its name.</param>
/// <param name="Slot">Its device number on bus 0.</param>
public sealed record LabEdu(string Id, int Slot) : LabDevice(Id)
{
    internal override string Model => "edu";

    internal override IEnumerable<(string Option, string Value)> Options(LabDeviceContext context) =>
        [("-device", $"edu,id={Id},bus=pcie.0,addr={Slot:x},dma_mask=0xffffffffffffffff")];
}
