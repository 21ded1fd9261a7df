using System.Buffers.Binary;
using Aperture.Pci.Registers;

namespace Aperture.Host.Building;

/// <summary>A function's configuration space as far as it is known; what is not known reads as zero.</summary>
internal readonly struct ConfigBytes(ReadOnlyMemory<byte> bytes)
{
    private const int Header = 64;
    private const int Extended = 4096;

    /// <summary>How many bytes are known.</summary>
    internal int Length => bytes.Length;

    /// <summary>True when the header is known and a function answered: all-ones is what reads of absent or sleeping functions return.</summary>
    internal bool Answers => bytes.Length >= Header && (U16(PciRegisters.VendorId) != 0xFFFF || U32(PciRegisters.Revision) != uint.MaxValue);

    /// <summary>True when the vendor id is one: VFs read as 0xFFFF (PCI Express 5.0, section 9.3.4.1.1).</summary>
    internal bool HasVendor => bytes.Length >= Header && U16(PciRegisters.VendorId) is not (0xFFFF or 0);

    /// <summary>One byte.</summary>
    internal byte U8(int offset) => offset >= 0 && offset < bytes.Length ? bytes.Span[offset] : (byte)0;

    /// <summary>A 16-bit register.</summary>
    internal ushort U16(int offset) => offset >= 0 && offset + 2 <= bytes.Length ? BinaryPrimitives.ReadUInt16LittleEndian(bytes.Span[offset..]) : (ushort)0;

    /// <summary>A 32-bit register.</summary>
    internal uint U32(int offset) => offset >= 0 && offset + 4 <= bytes.Length ? BinaryPrimitives.ReadUInt32LittleEndian(bytes.Span[offset..]) : 0;

    /// <summary>Where the capability with <paramref name="id"/> stands; 0 when it is absent or beyond what is known (PCI Local Bus 3.0, section 6.7).</summary>
    internal int FindCapability(byte id)
    {
        const ushort CapabilitiesList = 1 << 4;
        const int Most = 48;
        if ((U16(PciRegisters.Status) & CapabilitiesList) == 0)
        {
            return 0;
        }

        int pointer = U8(HeaderLayout == 2 ? 0x14 : PciRegisters.CapabilitiesPointer) & ~3;
        for (int hops = 0; pointer >= PciRegisters.FirstCapability && pointer + 2 <= Length && hops < Most; hops++)
        {
            if (U8(pointer) == id)
            {
                return pointer;
            }

            pointer = U8(pointer + 1) & ~3;
        }

        return 0;
    }

    /// <summary>Where the extended capability with <paramref name="id"/> stands; 0 when it is absent or not known (PCI Express 5.0, section 7.6.3).</summary>
    internal int FindExtendedCapability(ushort id)
    {
        const int Most = (Extended - PciRegisters.FirstExtendedCapability) / 4;
        int pointer = PciRegisters.FirstExtendedCapability;
        for (int hops = 0; Length == Extended && pointer >= PciRegisters.FirstExtendedCapability && hops < Most; hops++)
        {
            uint header = U32(pointer);
            if (header is 0 or uint.MaxValue)
            {
                return 0;
            }

            if ((header & 0xFFFF) == id)
            {
                return pointer;
            }

            pointer = (int)(header >> 20) & ~3;
        }

        return 0;
    }

    /// <summary>Header layout, without the multi-function bit.</summary>
    internal byte HeaderLayout => (byte)(U8(PciRegisters.HeaderType) & 0x7F);
}
