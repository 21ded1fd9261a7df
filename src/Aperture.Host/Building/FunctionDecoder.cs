using Aperture.Host.Model;
using Aperture.Host.Reading;
using Aperture.Pci;
using Aperture.Pci.Registers;

namespace Aperture.Host.Building;

/// <summary>Makes a function out of what was found of it alone; its relations to others come later.</summary>
internal static class FunctionDecoder
{
    private const ushort NoVendor = 0xFFFF;
    private const uint SubtractiveClass = 0x060401;
    private const int WithCapabilities = 256;
    private const int WithExtended = 4096;

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

        PciIdentity identity = Identity(raw, config, findings);
        List<HostBar> bars = BarBuilder.Build(raw, config, identity.ClassCode);
        byte type = config.U8(PciRegisters.HeaderType);
        RawText text = raw.Text ?? new RawText();
        return new HostFunction
        {
            Address = raw.Address,
            Identity = identity,
            HeaderType = config.Answers ? config.HeaderLayout : HeaderType(text),
            MultiFunction = config.Answers && (type & 0x80) != 0,
            Driver = raw.Driver,
            NumaNode = raw.NumaNode,
            IommuGroup = raw.IommuGroup,
            PhysicalFunction = raw.PhysicalFunction,
            DriverOverride = raw.DriverOverride,
            IommuUnit = raw.IommuUnit,
            ResetMethods = raw.ResetMethods is { } methods ? [.. methods] : null,
            Irq = raw.Irq,
            IsBootDisplay = raw.BootDisplay,
            Resets = CapabilityDecoder.Resets(config),
            InterruptPin = config.Answers ? config.U8(PciRegisters.InterruptLine + 1) : null,
            SignalsMessages = CapabilityDecoder.SignalsMessages(config),
            Config = raw.Config,
            Bars = [.. bars.Where(static bar => bar.Kind != BarKind.Rom)],
            Rom = bars.Find(static bar => bar.Kind == BarKind.Rom),
            Bridge = BridgeDecoder.Read(config) ?? (config.Answers ? null : Bridge(text, identity)),
            Pcie = CapabilityDecoder.Pcie(config) ?? (config.Length < WithCapabilities ? text.Pcie : null),
            Sriov = SrIov(raw, config, text),
            ResizableBars = CapabilityDecoder.ResizableBars(config) is { IsEmpty: false } resizable ? resizable : [.. text.ResizableBars],
            Acs = CapabilityDecoder.AccessControl(config) ?? text.Acs,
            Ats = CapabilityDecoder.AddressTranslation(config) ?? text.Ats,
            HasAri = CapabilityDecoder.HasAri(config) ?? (text.KnowsExtended ? text.HasAri : null),
            Command = config.Answers ? (PciCommand)config.U16(PciRegisters.Command) : text.Command,
            KnowsCapabilities = config.Length >= WithCapabilities || text.ShowsCapabilities,
            KnowsExtendedConfig = config.Length == WithExtended || text.KnowsExtended,
        };
    }

    private static byte HeaderType(RawText text) => text.Bridge is null ? (byte)0 : text.IsCardBus ? (byte)2 : (byte)1;

    private static HostPciBridge? Bridge(RawText text, PciIdentity identity) =>
        text.Bridge is { } bridge ? bridge with { Subtractive = identity.ClassCode == SubtractiveClass } : null;

    private static PciIdentity Identity(RawFunction raw, ConfigBytes config, List<HostFinding> findings)
    {
        bool ownIds = config.HasVendor;
        ushort vendor = ownIds ? config.U16(PciRegisters.VendorId) : raw.Vendor ?? NoVendor;
        ushort device = ownIds ? config.U16(PciRegisters.VendorId + 2) : raw.Device ?? NoVendor;
        if (!ownIds && raw.Vendor is null && !config.Answers && raw.Text is not { IsVerbose: true })
        {
            throw new ApertureException($"{raw.Place}: neither configuration space nor a vendor id says what {raw.Address} is");
        }

        if (!config.Answers && raw.Vendor is null)
        {
            findings.Add(new HostFinding(
                HostFindingSeverity.Note, HostFindingKind.Configuration, raw.Address,
                $"the listing does not tell the ids of {raw.Address}, which lspci prints with -nn"));
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

    private static HostSriov? SrIov(RawFunction raw, ConfigBytes config, RawText text)
    {
        HostSriov? sriov = CapabilityDecoder.SrIov(config) ?? (text.Sriov is { } printed ? printed with { ResizableVfBars = [.. text.ResizableVfBars] }
            : null);
        if (sriov is null && raw.Sriov is { } told)
        {
            sriov = new HostSriov(told.TotalVfs, told.NumVfs, told.Offset, told.Stride, told.VfDevice, []);
        }

        if (sriov is null)
        {
            return null;
        }

        // The kernel's list has the sizes and only what exists; a VF resizable BAR capability and Enhanced Allocation have sizes of their own.
        List<HostVfBar> listed = BarBuilder.VfBars(raw.Resources, sriov.TotalVfs);
        SortedDictionary<int, HostVfBar> bars =
            new(sriov.VfBars.DistinctBy(static bar => bar.Index).ToDictionary(static bar => bar.Index, bar => Sized(bar, sriov)));
        foreach (HostVfBar bar in EnhancedAllocation.VfBars(EnhancedAllocation.Read(config, raw.Text)))
        {
            bars[bar.Index] = bar;
        }

        return sriov with { VfBars = listed.Count != 0 ? [.. listed] : [.. bars.Values] };
    }

    private static HostVfBar Sized(HostVfBar bar, HostSriov sriov)
    {
        HostResizableBar? entry = sriov.ResizableVfBars.FirstOrDefault(entry => entry.BarIndex == bar.Index);
        return entry is null ? bar : bar with { Size = entry.CurrentSize, Origin = SizeOrigin.Known };
    }
}
