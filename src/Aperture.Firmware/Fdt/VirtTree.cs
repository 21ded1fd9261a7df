using Aperture.Firmware.Platform;

namespace Aperture.Firmware.Fdt;

/// <summary>The device tree of a machine of Arm's kind, in the bindings that Linux and edk2 read.</summary>
public static class VirtTree
{
    private const uint GicHandle = 1;
    private const uint ItsHandle = 2;
    private const uint ClockHandle = 3;
    private const uint GpioHandle = 4;

    // The clock of the PrimeCell devices. Nothing depends on it but the baud rate that a driver works out, which has no effect.
    private const uint ClockHertz = 24_000_000;

    // Interrupt cells of a GIC (arm,gic-v3 binding): kind, number, level high.
    private const uint Spi = 0;
    private const uint Ppi = 1;
    private const uint LevelHigh = 4;

    // KEY_POWER (Linux' input event codes).
    private const uint PowerKey = 116;

    private const int AffinityBitsOfOneCell = 24;

    /// <summary>The tree of <paramref name="machine"/>.</summary>
    public static FdtNode Build(VirtDescription machine, TreeChoices choices)
    {
        ArgumentNullException.ThrowIfNull(machine);
        ArgumentNullException.ThrowIfNull(choices);
        FdtNode root = FdtNode.Root()
            .Text("compatible", "linux,dummy-virt")
            .Text("model", "Aperture virt")
            .Cells("#address-cells", 2)
            .Cells("#size-cells", 2)
            .Cells("interrupt-parent", GicHandle)
            .Flag("dma-coherent");
        AddChosen(root, machine, choices);
        root.Node("psci").Text("compatible", "arm,psci-1.0", "arm,psci-0.2", "arm,psci").Text("method", "hvc");
        foreach (AddressRange ram in machine.Ram)
        {
            root.Node("memory", ram.Start).Text("device_type", "memory").Ranges("reg", ram);
        }

        AddCpus(root, machine.Affinities);
        AddTimer(root, machine);
        AddGic(root, machine.Gic);
        AddPrimeCells(root, machine);
        AddFirmwareDevices(root, machine);
        AddPcie(root, machine, choices);
        return root;
    }

    private static void AddChosen(FdtNode root, VirtDescription machine, TreeChoices choices)
    {
        FdtNode chosen = root.Node("chosen")
            .Text("bootargs", choices.CommandLine)
            .Text("stdout-path", $"/pl011@{machine.Uart.Range.Start.Value:x}");
        if (!choices.Initramfs.IsEmpty)
        {
            chosen.Number("linux,initrd-start", choices.Initramfs.Start.Value).Number("linux,initrd-end", choices.Initramfs.Last.Value + 1);
        }

        if (choices.KeepsPci)
        {
            chosen.Cells("linux,pci-probe-only", 1);
        }

        if (!choices.RandomSeed.IsEmpty)
        {
            chosen.Bytes("rng-seed", choices.RandomSeed);
        }

        if (choices.LayoutSeed is { } seed)
        {
            chosen.Number("kaslr-seed", seed);
        }

        root.Node("aliases").Text("serial0", $"/pl011@{machine.Uart.Range.Start.Value:x}");
        if (choices.SaysPciIsDone)
        {
            // Readers look for a value of any kind.
            root.Node("options").Node("upl-params").Text("compatible", "upl").Cells("pci-enum-done", 1);
        }
    }

    private static void AddCpus(FdtNode root, IReadOnlyList<ulong> affinities)
    {
        bool wide = affinities.Any(affinity => affinity >> AffinityBitsOfOneCell != 0);
        FdtNode cpus = root.Node("cpus").Cells("#address-cells", wide ? 2u : 1u).Cells("#size-cells", 0);
        foreach (ulong affinity in affinities)
        {
            FdtNode cpu = cpus.Node("cpu", new GuestAddress(affinity)).Text("device_type", "cpu").Text("compatible", "arm,armv8").Text("enable-method", "psci");
            _ = wide ? cpu.Number("reg", affinity) : cpu.Cells("reg", (uint)affinity);
        }
    }

    private static void AddTimer(FdtNode root, VirtDescription machine)
    {
        // Secure, non-secure, virtual and hypervisor timer, as a guest at EL1 with a virtual timer of its own has them (Arm BSA, PPI assignment).
        root.Node("timer")
            .Text("compatible", "arm,armv8-timer", "arm,armv7-timer")
            .Flag("always-on")
            .Cells("interrupts", Ppi, 13, LevelHigh, Ppi, 14, LevelHigh, Ppi, 11, LevelHigh, Ppi, 10, LevelHigh);
        if (machine.HasPmu)
        {
            root.Node("pmu").Text("compatible", "arm,armv8-pmuv3").Cells("interrupts", Ppi, 7, LevelHigh);
        }
    }

    private static void AddGic(FdtNode root, GicFrames gic)
    {
        FdtNode node = root.Node("intc", gic.Distributor.Start)
            .Text("compatible", "arm,gic-v3")
            .Flag("interrupt-controller")
            .Cells("#interrupt-cells", 3)
            .Cells("#address-cells", 2)
            .Cells("#size-cells", 2)
            .Flag("ranges")
            .Cells("#redistributor-regions", (uint)gic.Redistributors.Count)
            .Ranges("reg", [gic.Distributor, .. gic.Redistributors])
            .Cells("interrupts", Ppi, 9, LevelHigh)
            .Cells("phandle", GicHandle);
        if (gic.Its is { } its)
        {
            node.Node("msi-controller", its.Start)
                .Text("compatible", "arm,gic-v3-its")
                .Flag("msi-controller")
                .Cells("#msi-cells", 1)
                .Ranges("reg", its)
                .Cells("phandle", ItsHandle);
        }
    }

    private static void AddPrimeCells(FdtNode root, VirtDescription machine)
    {
        root.Node("apb-pclk")
            .Text("compatible", "fixed-clock")
            .Cells("#clock-cells", 0)
            .Cells("clock-frequency", ClockHertz)
            .Text("clock-output-names", "clk24mhz")
            .Cells("phandle", ClockHandle);
        PrimeCell(root, "pl011", machine.Uart).Cells("clocks", ClockHandle, ClockHandle).Text("clock-names", "uartclk", "apb_pclk");
        PrimeCell(root, "pl031", machine.Rtc).Cells("clocks", ClockHandle).Text("clock-names", "apb_pclk");
        PrimeCell(root, "pl061", machine.Gpio)
            .Cells("clocks", ClockHandle)
            .Text("clock-names", "apb_pclk")
            .Flag("gpio-controller")
            .Cells("#gpio-cells", 2)
            .Flag("interrupt-controller")
            .Cells("#interrupt-cells", 2)
            .Cells("#address-cells", 0)
            .Cells("phandle", GpioHandle);
        root.Node("gpio-keys")
            .Text("compatible", "gpio-keys")
            .Node("poweroff")
            .Text("label", "GPIO Key Poweroff")
            .Cells("linux,code", PowerKey)
            .Cells("gpios", GpioHandle, machine.PowerKeyLine, 0);
    }

    private static FdtNode PrimeCell(FdtNode root, string name, MappedDevice device) => root.Node(name, device.Range.Start)
        .Text("compatible", $"arm,{name}", "arm,primecell")
        .Ranges("reg", device.Range)
        .Cells("interrupts", Spi, device.Spi, LevelHigh);

    private static void AddFirmwareDevices(FdtNode root, VirtDescription machine)
    {
        if (machine.FwCfg is { } configuration)
        {
            root.Node("fw-cfg", configuration.Start).Text("compatible", "qemu,fw-cfg-mmio").Ranges("reg", configuration).Flag("dma-coherent");
        }

        if (machine.Flash.Count > 0)
        {
            root.Node("flash", machine.Flash[0].Start).Text("compatible", "cfi-flash").Ranges("reg", [.. machine.Flash]).Cells("bank-width", 4);
        }
    }

    private static void AddPcie(FdtNode root, VirtDescription machine, TreeChoices choices)
    {
        PcieRootDescription pcie = machine.Pcie;
        FdtNode node = root.Node("pcie", pcie.Ecam.Range.Start)
            .Text("compatible", "pci-host-ecam-generic")
            .Text("device_type", "pci")
            .Cells("#address-cells", 3)
            .Cells("#size-cells", 2)
            .Cells("#interrupt-cells", 1)
            .Cells("linux,pci-domain", pcie.Ecam.Segment)
            .Cells("bus-range", pcie.Ecam.FirstBus, pcie.Ecam.LastBus)
            .Ranges("reg", pcie.Ecam.Range)
            .Cells("ranges", [.. PciRanges(pcie)])
            .Cells("interrupt-map-mask", (PcieRootDescription.IntxInputs - 1) << 11, 0, 0, 7)
            .Cells("interrupt-map", [.. InterruptMap(pcie)])
            .Flag("dma-coherent");
        if (machine.Gic.Its is not null)
        {
            // Every requester id is the device id that the ITS sees.
            node.Cells("msi-map", 0, ItsHandle, 0, 0x1_0000);
        }

        if (choices.HidesPci)
        {
            node.Text("status", "disabled");
        }
    }

    // Three cells of a PCI address, of which the first says which space (IEEE 1275 PCI bus binding, 2.2.1.1), two of the address here, two of size.
    private static List<uint> PciRanges(PcieRootDescription pcie)
    {
        const uint Io = 0x0100_0000;
        const uint Memory32 = 0x0200_0000;
        const uint Memory64 = 0x0300_0000;
        List<uint> cells = [];
        Add(Io, 0, pcie.Io);
        foreach (AddressRange window in pcie.Memory32)
        {
            Add(Memory32, window.Start.Value, window);
        }

        foreach (AddressRange window in pcie.Memory64)
        {
            Add(Memory64, window.Start.Value, window);
        }

        return cells;

        void Add(uint space, ulong there, AddressRange here)
        {
            cells.Add(space);
            FdtNode.AddCells(cells, there);
            FdtNode.AddCells(cells, here.Start.Value);
            FdtNode.AddCells(cells, here.Size);
        }
    }

    // The pins of four devices; the mask folds the other devices onto them. Pins count from 1 here.
    private static List<uint> InterruptMap(PcieRootDescription pcie)
    {
        List<uint> cells = [];
        for (int device = 0; device < PcieRootDescription.IntxInputs; device++)
        {
            for (int pin = 0; pin < 4; pin++)
            {
                cells.AddRange([(uint)device << 11, 0, 0, (uint)pin + 1, GicHandle, 0, 0, Spi, pcie.IntxSpi(device, pin), LevelHigh]);
            }
        }

        return cells;
    }
}
