using System.Buffers.Binary;
using System.Numerics;
using Aperture.Pci;
using Aperture.Pci.Capabilities;
using Aperture.Pci.Registers;

namespace Aperture.Assignment;

/// <summary>
/// Re-creates a device's capability lists on an assigned function: at the device's offsets, in its order, each emulated, forwarded or hidden. A structure
/// that does not fit where the device put it is hidden, with a note.
/// </summary>
internal sealed class CapabilityBuilder(
    AssignedFunction function, IVfioDevice device, AssignedOptions options, byte[] config, PhysicalConfig physical, List<string> notes)
{
    private readonly ForwardedBytes _forwarded = new(config.Length);

    /// <summary>Adds what the device has, then what the options ask for; answers which bytes are the device's.</summary>
    /// <exception cref="ApertureException">The options ask for what this function cannot have.</exception>
    public ForwardedBytes Build()
    {
        // Registers of the device outside every capability: drivers know them, and the kernel passes them on.
        _forwarded.Set(PciRegisters.FirstCapability, ConfigSpace.ConventionalSize - PciRegisters.FirstCapability);
        List<FoundCapability> standard = CapabilityWalk.Standard(config);
        foreach (FoundCapability found in standard)
        {
            AddStandard(found);
        }

        AddExtended();
        if (options.GpuDirectClique is { } clique)
        {
            AddGpuDirect(clique, standard);
        }

        return _forwarded;
    }

    private void AddStandard(FoundCapability found)
    {
        StandardCapability? capability = options.HiddenCapabilities.Contains((byte)found.Id) ? null : MakeStandard(found);
        int length = capability?.Length ?? LengthOf(found);
        _forwarded.Set(found.Offset, (length + 3) & ~3, forwarded: false);
        if (capability is null)
        {
            return;
        }

        function.AddCapability(capability, found.Offset);
        if (capability is ForwardedCapability)
        {
            _forwarded.Set(found.Offset + 2, length - 2);
        }
        else if (capability is AssignedExpressCapability express)
        {
            express.Forward(_forwarded);
        }
    }

    private StandardCapability? MakeStandard(FoundCapability found)
    {
        StandardCapability? made = (byte)found.Id switch
        {
            0 or PciCapabilityIds.EnhancedAllocation => null,
            PciCapabilityIds.PowerManagement => function.Find<PowerManagementCapability>() is null
                ? new PowerManagementCapability(config[found.Offset + DeviceRegisters.PowerCapabilities],
                    found.Room >= PowerManagementCapability.Size
                        && (config[found.Offset + DeviceRegisters.PowerControl] & DeviceRegisters.NoSoftReset) != 0)
                : null,
            PciCapabilityIds.Msi => MakeMsi(found),
            PciCapabilityIds.Msix => MakeMsix(found),
            PciCapabilityIds.Express => MakeExpress(found),
            PciCapabilityIds.AdvancedFeatures => new AdvancedFeaturesCapability(device.CanReset),
            _ => new ForwardedCapability((byte)found.Id, LengthOf(found)),
        };
        if (made is not null && made.Length > found.Room)
        {
            Note(found, "the device gives it too little room");
            return null;
        }

        return made;
    }

    private MsiCapability? MakeMsi(FoundCapability found)
    {
        int available = CountOf(VfioIrqIndex.Msi);
        if (available == 0 || function.Find<MsiCapability>() is not null)
        {
            Note(found, "the host offers no such interrupts");
            return null;
        }

        int control = BinaryPrimitives.ReadUInt16LittleEndian(config.AsSpan(found.Offset + DeviceRegisters.MsiControl));
        int vectors = Math.Min(1 << Math.Min(control >> DeviceRegisters.MsiVectorsShift & DeviceRegisters.MsiVectors, DeviceRegisters.MostMsiVectors),
            1 << BitOperations.Log2((uint)available));
        bool is64Bit = (control & DeviceRegisters.Msi64Bit) != 0;
        return new MsiCapability(vectors, is64Bit, (control & DeviceRegisters.MsiMasking) != 0 && found.Room >= MsiCapability.SizeOf(is64Bit, true));
    }

    private MsixCapability? MakeMsix(FoundCapability found)
    {
        int available = CountOf(VfioIrqIndex.Msix);
        if (available == 0 || found.Room < MsixCapability.Size || function.Find<MsixCapability>() is not null)
        {
            Note(found, "the host offers no such interrupts");
            return null;
        }

        ReadOnlySpan<byte> raw = config.AsSpan(found.Offset);
        int vectors = Math.Min((BinaryPrimitives.ReadUInt16LittleEndian(raw[DeviceRegisters.MsixControl..]) & (MsixCapability.MostVectors - 1)) + 1, available);
        uint table = BinaryPrimitives.ReadUInt32LittleEndian(raw[DeviceRegisters.MsixTable..]);
        uint pending = BinaryPrimitives.ReadUInt32LittleEndian(raw[DeviceRegisters.MsixPending..]);
        if (!IsInBar(table, (ulong)vectors * MsixCapability.EntrySize) || !IsInBar(pending, (ulong)((vectors + 63) / 64) * 8))
        {
            Note(found, "its table or its pending bits lie outside the device's BARs");
            return null;
        }

        return new MsixCapability(vectors, (int)(table & MsixCapability.BarMask), table & ~MsixCapability.BarMask,
            (int)(pending & MsixCapability.BarMask), pending & ~MsixCapability.BarMask);
    }

    private AssignedExpressCapability? MakeExpress(FoundCapability found)
    {
        int length = Math.Min(
            AssignedExpressCapability.LengthOf(config[found.Offset + DeviceRegisters.ExpressCapabilities] & DeviceRegisters.ExpressVersion), found.Room);
        return length >= AssignedExpressCapability.ShortestLength && function.Find<AssignedExpressCapability>() is null
            ? new AssignedExpressCapability(config.AsSpan(found.Offset, length), physical, device.CanReset)
            : null;
    }

    private int LengthOf(FoundCapability found)
    {
        int length = (byte)found.Id switch
        {
            PciCapabilityIds.PowerManagement or PciCapabilityIds.VitalProductData or PciCapabilityIds.PciX
                or PciCapabilityIds.SubsystemIds or PciCapabilityIds.Sata or PciCapabilityIds.AdvancedFeatures => 8,
            PciCapabilityIds.Agp or PciCapabilityIds.Msix => 12,
            PciCapabilityIds.SlotIdentification => 4,
            PciCapabilityIds.VendorSpecific => Math.Max((int)config[found.Offset + DeviceRegisters.VendorSpecificLength], 4),
            _ => found.Room,
        };
        return Math.Min(length, found.Room);
    }

    private void AddExtended()
    {
        // As in the first 256 bytes, what lies outside every structure is the device's: the registers that drivers know are often up there.
        _forwarded.Set(PciRegisters.FirstExtendedCapability, config.Length - PciRegisters.FirstExtendedCapability);
        List<FoundCapability> shown = [];
        foreach (FoundCapability found in CapabilityWalk.Extended(config))
        {
            bool hidden = PciCapabilityIds.IsHidden(found.Id) || options.HiddenExtendedCapabilities.Contains(found.Id);
            int length = hidden ? LengthOfHidden(found) : found.Id == PciCapabilityIds.ResizableBar ? found.Room : 4;
            _forwarded.Set(found.Offset, length, forwarded: false);
            if (!hidden)
            {
                shown.Add(found);
            }
        }

        // The list must begin at 0x100, so what is hidden there leaves an empty header.
        if (shown.Count != 0 && shown[0].Offset != PciRegisters.FirstExtendedCapability)
        {
            function.AddCapability(new ForwardedExtendedCapability(PciCapabilityIds.Null, 0, 4), PciRegisters.FirstExtendedCapability);
        }

        foreach (FoundCapability found in shown)
        {
            if (found.Id == PciCapabilityIds.ResizableBar)
            {
                AddResizableBar(found);
                continue;
            }

            function.AddCapability(new ForwardedExtendedCapability(found.Id, found.Version, found.Room), found.Offset);
        }
    }

    private static int LengthOfHidden(FoundCapability found)
    {
        // Lengths of PCI Express 5.0, sections 7.8.8 (ARI), 9.3.3 (SR-IOV), 10.5 (ATS, PRI), 7.8.9 (PASID); others may reach to the next one.
        int length = found.Id switch
        {
            PciCapabilityIds.Ari or PciCapabilityIds.Ats or PciCapabilityIds.Pasid => 8,
            PciCapabilityIds.PageRequest => 0x10,
            PciCapabilityIds.SrIov => 0x40,
            _ => found.Room,
        };
        return Math.Min(length, found.Room);
    }

    private void AddResizableBar(FoundCapability found)
    {
        int count = found.Room >= 12 ? config[found.Offset + 8] >> 5 : 0;
        count = Math.Min(Math.Min(count, FixedResizableBarCapability.MostBars), (found.Room - 4) / 8);
        uint[] controls = new uint[count];
        for (int i = 0; i < count; i++)
        {
            controls[i] = BinaryPrimitives.ReadUInt32LittleEndian(config.AsSpan(found.Offset + 8 + (8 * i)));
        }

        function.AddCapability(
            count == 0 ? new ForwardedExtendedCapability(PciCapabilityIds.Null, 0, 4) : new FixedResizableBarCapability(found.Version, controls),
            found.Offset);
    }

    private void AddGpuDirect(byte clique, List<FoundCapability> standard)
    {
        const uint Display = 0x03;
        const ushort Nvidia = 0x10DE;
        if (function.Identity.Vendor != Nvidia || function.Identity.ClassCode >> 16 != Display || clique > 15)
        {
            throw new ApertureException(
                $"{options.Name}: a GPUDirect clique is 0 to 15 and only for an NVIDIA display function, which {device.Name} is not or {clique} is not");
        }

        foreach (int offset in (ReadOnlySpan<int>)[GpuDirectCapability.UsualOffset, GpuDirectCapability.OtherOffset])
        {
            if (!standard.Exists(c => c.Offset < offset + 8 && offset < c.Offset + LengthOf(c)))
            {
                function.AddCapability(new GpuDirectCapability(clique), offset);
                _forwarded.Set(offset, 8, forwarded: false);
                return;
            }
        }

        throw new ApertureException($"{options.Name}: there is no room in the configuration space of {device.Name} for the GPUDirect capability");
    }

    private bool IsInBar(uint place, ulong size) =>
        function.FindBar((int)(place & MsixCapability.BarMask)) is { } bar && bar.Kind.IsMemory() && bar.Kind != BarKind.Rom
            && (place & ~MsixCapability.BarMask) + size <= bar.Size;

    private int CountOf(int index) => device.Irqs.FirstOrDefault(i => i.Index == index)?.Count ?? 0;

    private void Note(FoundCapability found, string reason) => notes.Add($"capability 0x{found.Id:x} at 0x{found.Offset:x} is hidden: {reason}");
}
