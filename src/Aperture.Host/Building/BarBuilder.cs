using Aperture.Host.Model;
using Aperture.Host.Reading;
using Aperture.Pci;
using Aperture.Pci.Registers;

namespace Aperture.Host.Building;

/// <summary>Puts together what the registers, the kernel and the text say about a function's BARs.</summary>
internal static class BarBuilder
{
    // include/linux/ioport.h and include/linux/pci.h, as shown in sysfs' resource files.
    private const ulong FlagIo = 0x100;
    private const ulong FlagMemory = 0x200;
    private const ulong FlagPrefetchable = 0x2000;
    private const ulong Flag64Bit = 0x100000;
    private const ulong FlagUnset = 0x20000000;
    private const ulong FlagFixed = 1 << 4 | 1 << 5;
    private const int FirstVfLine = 7;
    private const int LinesWithVfs = 13;

    /// <summary>A function's BARs and ROM, in register order.</summary>
    internal static List<HostBar> Build(RawFunction raw, ConfigBytes config, uint classCode)
    {
        List<BarRegister> registers = config.Answers ? ReadRegisters(config) : [];
        List<HostBar> bars;
        if (raw.Resources is { } resources)
        {
            bars = FromKernel(resources, registers);
        }
        else
        {
            bars = raw.Regions.Count != 0 || raw.Text is { IsVerbose: true, TellsSizes: true }
                ? TextBars.Make(raw, registers)
                : [.. registers.Select(static register => new HostBar(register.Index, register.Kind, Assigned(register.Address), 0, SizeOrigin.Unknown))];
            bars = EnhancedAllocation.Apply(LegacyIde.Apply(bars, classCode), EnhancedAllocation.Read(config, raw.Text));
        }

        if (!config.Answers)
        {
            return TextBars.WithState(bars, raw);
        }

        PciCommand command = (PciCommand)config.U16(PciRegisters.Command);
        bool romEnabled = (config.U32(BarRegister.RomOffset(config.HeaderLayout)) & 1) != 0;
        for (int i = 0; i < bars.Count; i++)
        {
            BarKind kind = bars[i].Kind;
            bool on = kind == BarKind.Io ? (command & PciCommand.IoSpace) != 0 : (command & PciCommand.MemorySpace) != 0 && (kind != BarKind.Rom || romEnabled);
            bars[i] = bars[i] with { Enabled = on && bars[i].Assigned };
        }

        return bars;
    }

    /// <summary>What the kernel lists for the VF BARs, each divided by the number of VFs; nothing when it lists none.</summary>
    internal static List<HostVfBar> VfBars(List<RawResource>? resources, int totalVfs)
    {
        List<HostVfBar> bars = [];
        for (int i = 0; resources is not null && resources.Count >= LinesWithVfs && totalVfs > 0 && i < 6; i++)
        {
            RawResource line = resources[FirstVfLine + i];
            if (!IsThere(line))
            {
                continue;
            }

            ulong size = (line.Last - line.First + 1) / (ulong)totalVfs;
            bars.Add(new HostVfBar(
                i, Kind(line), IsAssigned(line) ? new GuestAddress(line.First) : null, size, size == 0 ? SizeOrigin.Unknown : SizeOrigin.Known));
        }

        return bars;
    }

    private static List<BarRegister> ReadRegisters(ConfigBytes config)
    {
        List<BarRegister> registers = BarRegister.ReadAll(config, PciRegisters.Bar0, BarRegister.Count(config.HeaderLayout));
        int rom = BarRegister.RomOffset(config.HeaderLayout);
        if (rom != 0 && config.U32(rom) is var value and not uint.MaxValue && (value & ~0x7FFu) != 0)
        {
            registers.Add(new BarRegister(BarKinds.RomIndex, BarKind.Rom, value & ~0x7FFu));
        }

        return registers;
    }

    private static List<HostBar> FromKernel(List<RawResource> resources, List<BarRegister> registers)
    {
        List<HostBar> bars = [];
        for (int i = 0; i <= BarKinds.RomIndex && i < resources.Count; i++)
        {
            RawResource line = resources[i];
            if (!IsThere(line))
            {
                continue;
            }

            BarKind kind = i == BarKinds.RomIndex ? BarKind.Rom : Kind(line);

            // A VGA BIOS copy below 1 MiB and the ports of legacy IDE are resources of the function without being its registers' doing.
            bool isFixed = (line.Flags & FlagFixed) != 0 || (kind == BarKind.Rom && line.First < 1 << 20 && IsAssigned(line));
            ulong register = isFixed ? 0 : registers.Find(r => r.Index == i && r.Kind.IsMemory() == kind.IsMemory()).Address;
            bars.Add(new HostBar(
                i, kind, IsAssigned(line) ? new GuestAddress(register != 0 ? register : line.First) : null, line.Last - line.First + 1, SizeOrigin.Known)
            {
                CpuAddress = IsAssigned(line) ? new GuestAddress(line.First) : null,
                Fixed = isFixed,
            });
        }

        return bars;
    }

    private static bool IsThere(RawResource line) => (line.Flags & (FlagIo | FlagMemory)) != 0 && line.Last - line.First + 1 != 0;

    private static bool IsAssigned(RawResource line) => (line.Flags & FlagUnset) == 0 && line.First != 0;

    private static GuestAddress? Assigned(ulong address) => address == 0 ? null : new GuestAddress(address);

    private static BarKind Kind(RawResource line)
    {
        ulong flags = line.Flags;
        if ((flags & FlagIo) != 0)
        {
            return BarKind.Io;
        }

        // Old kernels have no 64-bit flag and another one for prefetchable; the register's own type bits stand in the low bits of all.
        // What Enhanced Allocation fixed has no such bits, and is what its place needs.
        bool wide = (flags & Flag64Bit) != 0 || (flags & 7) == 4 || ((flags & FlagFixed) != 0 && line.Last > uint.MaxValue);
        bool prefetchable = (flags & (FlagPrefetchable | 8)) != 0;
        return wide ? (prefetchable ? BarKind.Memory64Prefetchable : BarKind.Memory64) : prefetchable ? BarKind.Memory32Prefetchable : BarKind.Memory32;
    }
}
