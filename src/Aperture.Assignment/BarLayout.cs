using System.Buffers.Binary;
using System.Numerics;
using Aperture.Pci;
using Aperture.Pci.Registers;

namespace Aperture.Assignment;

/// <summary>Gives a function the BARs of its device: kinds from the registers (PCI Local Bus 3.0, section 6.2.5.1), sizes from the regions.</summary>
internal static class BarLayout
{
    private const int Registers = 6;

    /// <summary>Adds what the device has; a BAR that no function could have is left out, with a note.</summary>
    public static void AddTo(PciFunction function, IVfioDevice device, ReadOnlySpan<byte> config, List<string> notes)
    {
        foreach (DeviceBar bar in Read(device, config, notes))
        {
            function.AddBar(bar.Index, bar.Kind, bar.Size);
        }
    }

    /// <summary>What the device has, in order; a BAR that no function could have is left out, with a note.</summary>
    public static List<DeviceBar> Read(IVfioDevice device, ReadOnlySpan<byte> config, List<string> notes)
    {
        List<DeviceBar> bars = [];
        for (int index = 0; index < Registers; index++)
        {
            ulong size = device.Regions.FirstOrDefault(r => r.Index == index)?.Size ?? 0;
            if (size == 0)
            {
                continue;
            }

            BarKind kind = KindOf(BinaryPrimitives.ReadUInt32LittleEndian(config[(PciRegisters.Bar0 + (4 * index))..]));
            bool fits = BitOperations.IsPow2(size) && size >= BarRules.SmallestSize(kind) && size <= BarRules.LargestSize(kind)
                && !(kind.Is64Bit() && index == Registers - 1);
            if (!fits)
            {
                notes.Add($"{BarKinds.BarName(index)} is left out: no {kind.Keyword()} BAR can have 0x{size:x} bytes there");
                continue;
            }

            bars.Add(new DeviceBar(index, kind, size));
            index += kind.Is64Bit() ? 1 : 0;
        }

        return bars;
    }

    private static BarKind KindOf(uint register)
    {
        const uint Io = 1;
        const uint TypeMask = 6;
        const uint Type64 = 4;
        const uint Prefetchable = 8;
        return (register & Io) != 0 ? BarKind.Io
            : (register & TypeMask) == Type64
                ? (register & Prefetchable) != 0 ? BarKind.Memory64Prefetchable : BarKind.Memory64
                : (register & Prefetchable) != 0 ? BarKind.Memory32Prefetchable : BarKind.Memory32;
    }
}
