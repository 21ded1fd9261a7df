using System.Buffers.Binary;
using Aperture.Pci.Registers;

namespace Aperture.Assignment;

/// <summary>A capability as a device shows it.</summary>
/// <param name="Id">Its id; standard and extended ids are separate.</param>
/// <param name="Version">Version of an extended capability; 0 for a standard one.</param>
/// <param name="Offset">Bytes from the start of configuration space.</param>
/// <param name="Room">Bytes up to the next capability, or the end of the space: what it can have at most.</param>
internal sealed record FoundCapability(ushort Id, byte Version, int Offset, int Room);

/// <summary>
/// Follows the capability lists of a device's configuration space. The device is not trusted: pointers may loop, leave the space or point into
/// another capability; what was found until then stands, each place once.
/// </summary>
internal static class CapabilityWalk
{
    /// <summary>The standard list (PCI Local Bus 3.0, section 6.7), in the device's order.</summary>
    public static List<FoundCapability> Standard(ReadOnlySpan<byte> config)
    {
        List<FoundCapability> found = [];
        if (config.Length < ConfigSpace.ConventionalSize || (config[PciRegisters.Status] & (int)PciStatus.CapabilityList) == 0)
        {
            return found;
        }

        int offset = config[PciRegisters.CapabilitiesPointer] & 0xFC;
        while (offset >= PciRegisters.FirstCapability && config[offset] != 0xFF && !found.Exists(c => c.Offset == offset))
        {
            found.Add(new FoundCapability(config[offset], 0, offset, 0));
            offset = config[offset + 1] & 0xFC;
        }

        Measure(found, ConfigSpace.ConventionalSize);
        return found;
    }

    /// <summary>The extended list (PCI Express 5.0, section 7.6.3), in the device's order.</summary>
    public static List<FoundCapability> Extended(ReadOnlySpan<byte> config)
    {
        List<FoundCapability> found = [];
        if (config.Length < ConfigSpace.ExtendedSize)
        {
            return found;
        }

        int offset = PciRegisters.FirstExtendedCapability;
        while (offset >= PciRegisters.FirstExtendedCapability && !found.Exists(c => c.Offset == offset))
        {
            uint header = BinaryPrimitives.ReadUInt32LittleEndian(config[offset..]);
            if (header is 0 or uint.MaxValue)
            {
                break;
            }

            found.Add(new FoundCapability((ushort)header, (byte)(header >> 16 & 0xF), offset, 0));
            offset = (int)(header >> 20) & 0xFFC;
        }

        Measure(found, ConfigSpace.ExtendedSize);
        return found;
    }

    private static void Measure(List<FoundCapability> found, int end)
    {
        int[] starts = [.. found.Select(c => c.Offset).Order(), end];
        for (int i = 0; i < found.Count; i++)
        {
            int at = Array.BinarySearch(starts, found[i].Offset);
            found[i] = found[i] with { Room = starts[at + 1] - found[i].Offset };
        }
    }
}
