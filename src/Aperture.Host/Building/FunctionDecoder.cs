using Aperture.Host.Model;
using Aperture.Host.Reading;
using Aperture.Pci;

namespace Aperture.Host.Building;

/// <summary>Makes a function out of what was found of it alone; its relations to others come later.</summary>
internal static class FunctionDecoder
{
    private const ushort NoVendor = 0xFFFF;

    /// <summary>Decodes one function.</summary>
    /// <exception cref="ApertureException">Nothing says what it is.</exception>
    internal static HostFunction Decode(RawFunction raw, List<HostFinding> findings)
    {
        ConfigBytes config = new(raw.Config);
        if (raw.Config.Length != 0 && !config.Answers)
        {
            findings.Add(new HostFinding(
                HostFindingSeverity.Warning,
                HostFindingKind.Configuration,
                raw.Address,
                $"the configuration space of {raw.Address} reads as all-ones: it was asleep or gone when it was read"));
        }

        List<HostBar> bars = BarBuilder.Build(raw, config);
        byte type = config.U8(PciRegisters.HeaderType);
        return new HostFunction
        {
            Address = raw.Address,
            Identity = Identity(raw, config, findings),
            HeaderType = config.Answers ? config.HeaderLayout : (byte)0,
            MultiFunction = config.Answers && (type & 0x80) != 0,
            Driver = raw.Driver,
            NumaNode = raw.NumaNode,
            IommuGroup = raw.IommuGroup,
            PhysicalFunction = raw.PhysicalFunction,
            Config = raw.Config,
            Bars = [.. bars.Where(static bar => bar.Kind != BarKind.Rom)],
            Rom = bars.Find(static bar => bar.Kind == BarKind.Rom),
            Bridge = BridgeDecoder.Read(config),
            Pcie = CapabilityDecoder.Pcie(config),
            Sriov = SrIov(raw, config),
            ResizableBars = CapabilityDecoder.ResizableBars(config),
            Acs = CapabilityDecoder.AccessControl(config),
            Ats = CapabilityDecoder.AddressTranslation(config),
            HasAri = CapabilityDecoder.HasAri(config),
        };
    }

    private static PciIdentity Identity(RawFunction raw, ConfigBytes config, List<HostFinding> findings)
    {
        bool ownIds = config.HasVendor;
        ushort vendor = ownIds ? config.U16(PciRegisters.VendorId) : raw.Vendor ?? NoVendor;
        ushort device = ownIds ? config.U16(PciRegisters.VendorId + 2) : raw.Device ?? NoVendor;
        if (!ownIds && raw.Vendor is null && !config.Answers)
        {
            throw new ApertureException($"{raw.Place}: neither configuration space nor a vendor id says what {raw.Address} is");
        }

        if (raw.Vendor is { } told && (told != vendor || (raw.Device ?? device) != device))
        {
            findings.Add(new HostFinding(
                HostFindingSeverity.Warning,
                HostFindingKind.Configuration,
                raw.Address,
                $"the configuration space of {raw.Address} says {vendor:x4}:{device:x4}, the source around it {told:x4}:{raw.Device ?? 0:x4}"));
        }

        uint classWord = config.U32(PciRegisters.Revision);
        bool hasSubsystem = config.Answers && config.HeaderLayout == 0 && config.U16(PciRegisters.SubsystemVendorId) != NoVendor;
        return new PciIdentity(
            vendor,
            device,
            config.Answers ? classWord >> 8 : raw.ClassCode ?? 0,
            config.Answers ? (byte)classWord : raw.Revision ?? 0,
            hasSubsystem ? config.U16(PciRegisters.SubsystemVendorId) : raw.SubsystemVendor ?? 0,
            hasSubsystem ? config.U16(PciRegisters.SubsystemVendorId + 2) : raw.Subsystem ?? 0);
    }

    private static HostSriov? SrIov(RawFunction raw, ConfigBytes config)
    {
        HostSriov? sriov = CapabilityDecoder.SrIov(config);
        if (sriov is null && raw.Sriov is { } told)
        {
            sriov = new HostSriov(told.TotalVfs, told.NumVfs, told.Offset, told.Stride, told.VfDevice, []);
        }

        if (sriov is null)
        {
            return null;
        }

        // The kernel's list has the sizes and only what exists; a VF resizable BAR capability has the sizes of its own.
        List<HostVfBar> listed = BarBuilder.VfBars(raw.Resources, sriov.TotalVfs);
        return sriov with
        {
            VfBars = listed.Count != 0 ? [.. listed] : [.. sriov.VfBars.Select(bar => Sized(bar, sriov))],
        };
    }

    private static HostVfBar Sized(HostVfBar bar, HostSriov sriov)
    {
        HostResizableBar? entry = sriov.ResizableVfBars.FirstOrDefault(entry => entry.BarIndex == bar.Index);
        return entry is null ? bar : bar with { Size = entry.CurrentSize, Origin = SizeOrigin.Known };
    }
}
