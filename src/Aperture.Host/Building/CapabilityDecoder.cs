using System.Collections.Immutable;
using Aperture.Host.Model;
using Aperture.Pci;
using Aperture.Pci.Capabilities;
using Aperture.Pci.Ports;

namespace Aperture.Host.Building;

/// <summary>Reads the capabilities that matter here out of configuration space.</summary>
internal static class CapabilityDecoder
{
    private const byte PowerManagement = 0x01;
    private const byte Msi = 0x05;
    private const byte PciExpress = 0x10;
    private const byte MsiX = 0x11;
    private const byte AdvancedFeatures = 0x13;
    private const ushort Acs = 0x000D;
    private const ushort Ari = 0x000E;
    private const ushort Ats = 0x000F;
    private const ushort Sriov = 0x0010;
    private const ushort ResizableBar = 0x0015;
    private const ushort VfResizableBar = 0x0024;

    /// <summary>The PCI Express capability (PCI Express 5.0, section 7.5.3).</summary>
    internal static HostPcie? Pcie(ConfigBytes config)
    {
        int at = config.FindCapability(PciExpress);
        if (at == 0 || at + 0x14 > config.Length)
        {
            return null;
        }

        ushort capabilities = config.U16(at + 2);
        HostPortType type = (HostPortType)(capabilities >> 4 & 0xF);
        bool hasSlot = (capabilities & 1 << 8) != 0 && type is HostPortType.RootPort or HostPortType.SwitchDownstream;
        uint slot = config.U32(at + 0x14);
        ushort status = config.U16(at + 0x12);
        bool hasSecond = (capabilities & 0xF) >= 2 && at + 0x2C <= config.Length;
        PcieLink current = new((byte)(status & 0xF), (byte)(status >> 4 & 0x3F));
        uint link = config.U32(at + 0x0C);
        return new HostPcie(
            type,
            hasSlot ? (int)(slot >> 19) : null,
            hasSlot && (slot & 1 << 6) != 0,
            hasSecond && (config.U32(at + 0x24) & 1 << 5) != 0 ? (config.U16(at + 0x28) & 1 << 5) != 0 : null,
            new PcieLink((byte)(link & 0xF), (byte)(link >> 4 & 0x3F)),
            current.Width == 0 ? null : current)
        {
            Atomics = hasSecond ? (AtomicOps)config.U32(at + 0x24) & (AtomicOps.Routing | AtomicOps.Completers) : AtomicOps.None,
            BlocksAtomics = hasSecond && (config.U16(at + 0x28) & 1 << 7) != 0,
        };
    }

    /// <summary>The resets on offer; null where the capabilities are not known.</summary>
    internal static HostResets? Resets(ConfigBytes config)
    {
        if (config.Length < 256)
        {
            return null;
        }

        int express = config.FindCapability(PciExpress);
        int advanced = config.FindCapability(AdvancedFeatures);
        int power = config.FindCapability(PowerManagement);
        bool level = (express != 0 && (config.U32(express + 4) & 1 << 28) != 0) || (advanced != 0 && (config.U8(advanced + 3) & 2) != 0);
        return new HostResets(level, power != 0 && (config.U16(power + 4) & 1 << 3) == 0);
    }

    /// <summary>Whether there is MSI or MSI-X; null where the capabilities are not known.</summary>
    internal static bool? SignalsMessages(ConfigBytes config) =>
        config.Length < 256 ? null : config.FindCapability(Msi) != 0 || config.FindCapability(MsiX) != 0;

    /// <summary>Access control services (PCI Express 5.0, section 7.7.8).</summary>
    internal static HostAcs? AccessControl(ConfigBytes config) => config.FindExtendedCapability(Acs) is var at and not 0
        ? new HostAcs((AcsControls)(config.U16(at + 4) & 0x7F), (AcsControls)(config.U16(at + 6) & 0x7F))
        : null;

    /// <summary>Address translation services (PCI Express 5.0, section 10.5.1).</summary>
    internal static HostAts? AddressTranslation(ConfigBytes config) => config.FindExtendedCapability(Ats) is var at and not 0
        ? new HostAts((config.U16(at + 6) & 1 << 15) != 0)
        : null;

    /// <summary>Whether alternative routing ids are there (PCI Express 5.0, section 7.8.8); null when not known.</summary>
    internal static bool? HasAri(ConfigBytes config) => config.Length == 4096 ? config.FindExtendedCapability(Ari) != 0 : null;

    /// <summary>Resizable BARs (PCI Express 5.0, section 7.8.6).</summary>
    internal static ImmutableArray<HostResizableBar> ResizableBars(ConfigBytes config) => Resizable(config, ResizableBar);

    /// <summary>The SR-IOV capability (PCI Express 5.0, section 9.3.3); VF BARs with no size yet. Null when absent or not known.</summary>
    internal static HostSriov? SrIov(ConfigBytes config)
    {
        int at = config.FindExtendedCapability(Sriov);
        if (at == 0)
        {
            return null;
        }

        ImmutableArray<HostVfBar>.Builder bars = ImmutableArray.CreateBuilder<HostVfBar>();
        foreach (BarRegister register in BarRegister.ReadAll(config, at + 0x24, 6))
        {
            bars.Add(new HostVfBar(register.Index, register.Kind, register.Address is 0 ? null : new GuestAddress(register.Address), 0, SizeOrigin.Unknown));
        }

        return new HostSriov(
            config.U16(at + 0x0E), config.U16(at + 0x10), config.U16(at + 0x14), config.U16(at + 0x16), config.U16(at + 0x1A), bars.ToImmutable())
        {
            ResizableVfBars = Resizable(config, VfResizableBar),
        };
    }

    private static ImmutableArray<HostResizableBar> Resizable(ConfigBytes config, ushort id)
    {
        int at = config.FindExtendedCapability(id);
        if (at == 0)
        {
            return [];
        }

        int count = Math.Min((int)(config.U32(at + 8) >> 5 & 7), 6);
        ImmutableArray<HostResizableBar>.Builder bars = ImmutableArray.CreateBuilder<HostResizableBar>(count);
        for (int i = 0; i < count; i++)
        {
            // Capability 31:4 are 2^0 to 2^27 MiB, control 31:16 go on with 2^28; the size in use is 2^(13:8) MiB.
            uint control = config.U32(at + 8 + 8 * i);
            ulong offered = config.U32(at + 4 + 8 * i) >> 4 | (ulong)(control >> 16) << 28;
            int power = (int)(control >> 8 & 0x3F);
            if ((control & 7) < 6 && power <= 42)
            {
                bars.Add(new HostResizableBar((int)(control & 7), offered, 1UL << (power + 20)));
            }
        }

        return bars.ToImmutable();
    }
}
