using Aperture.Pci;
using Aperture.Pci.Registers;

namespace Aperture.Host.Building;

/// <summary>What a base address register says by itself (PCI Local Bus 3.0, section 6.2.5.1): everything but the size.</summary>
/// <param name="Index">The register's number, the lower of two for 64 bits.</param>
/// <param name="Kind">What it decodes.</param>
/// <param name="Address">The address it holds; 0 when none was given to it.</param>
internal readonly record struct BarRegister(int Index, BarKind Kind, ulong Address)
{
    /// <summary>
    /// The registers from <paramref name="offset"/>; one that is all zero decodes nothing, or 32-bit memory at no address: that cannot be told apart.
    /// </summary>
    internal static List<BarRegister> ReadAll(ConfigBytes config, int offset, int count)
    {
        List<BarRegister> registers = [];
        for (int i = 0; i < count; i++)
        {
            uint low = config.U32(offset + 4 * i);
            if (low is 0 or uint.MaxValue)
            {
                continue;
            }

            if ((low & 1) != 0)
            {
                registers.Add(new BarRegister(i, BarKind.Io, low & ~3u));
                continue;
            }

            bool prefetchable = (low & 8) != 0;
            if ((low & 6) == 4 && i + 1 < count)
            {
                ulong high = config.U32(offset + 4 * (i + 1));
                registers.Add(new BarRegister(i, prefetchable ? BarKind.Memory64Prefetchable : BarKind.Memory64, high << 32 | low & ~0xFu));
                i++;
                continue;
            }

            registers.Add(new BarRegister(i, prefetchable ? BarKind.Memory32Prefetchable : BarKind.Memory32, low & ~0xFu));
        }

        return registers;
    }

    /// <summary>Where the ROM register of a header layout is; 0 when it has none.</summary>
    internal static int RomOffset(byte headerLayout) => headerLayout switch
    {
        0 => PciRegisters.RomType0,
        1 => PciRegisters.RomType1,
        _ => 0,
    };

    /// <summary>How many BARs a header layout has (type 0: 6, PCI-to-PCI bridge: 2, CardBus bridge: 1).</summary>
    internal static int Count(byte headerLayout) => headerLayout switch
    {
        0 => 6,
        1 => 2,
        2 => 1,
        _ => 0,
    };
}
