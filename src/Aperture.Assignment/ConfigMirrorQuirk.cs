using Aperture.Pci;
using Aperture.Pci.Registers;

namespace Aperture.Assignment;

/// <summary>
/// NVIDIA display functions show their configuration space a second time in BAR 0: the driver would read the host's BAR addresses there. The guest gets its
/// own registers instead; the header and capabilities only, what the function has beyond them stays the device's.
/// </summary>
internal sealed class ConfigMirrorQuirk(PciIdentity identity) : IBarQuirk
{
    private const ulong Earlier = 0x88000;
    private const ulong FromHopperOn = 0x92000;

    // Where the mirror is, by the lowest device id of each run. Until Ada: PPCI of envytools. Hopper and all Blackwell: NV_EP_PCFGM of NVIDIA's open kernel
    // modules (hopper/gh100/dev_xtl_ep_pri.h), as nouveau's gh100_pci uses it. Which chip has which id is from pci.ids: GH100's are below those of GA103 to
    // GA107 and Ada.
    private static readonly (ushort FirstDevice, ulong Offset)[] Places =
    [
        (0x0000, Earlier),
        (0x2300, FromHopperOn),
        (0x2400, Earlier),
        (0x2900, FromHopperOn),
    ];

    public int Bar => 0;

    public ulong Offset { get; } = Places.Last(place => place.FirstDevice <= identity.Device).Offset;

    public ulong Size => ConfigSpace.ExtendedSize;

    /// <summary>True for functions that have the mirror.</summary>
    public static bool Fits(PciIdentity identity) => identity.Vendor == 0x10DE && identity.ClassCode >> 16 == 0x03;

    public IAccessHandler Overlay(AssignedFunction function, IAccessHandler device) => new Mirror(function, device);

    private sealed class Mirror(AssignedFunction function, IAccessHandler device) : IAccessHandler
    {
        public AccessResult Read(ulong offset, int size, out ulong value)
        {
            if (size > 4)
            {
                Read(offset, 4, out ulong low);
                Read(offset + 4, 4, out ulong high);
                value = low | high << 32;
                return AccessResult.Ok;
            }

            if (!function.IsEmulated((int)offset, size))
            {
                return device.Read(offset, size, out value);
            }

            value = function.ReadConfig((int)offset, size);
            return AccessResult.Ok;
        }

        public AccessResult Write(ulong offset, int size, ulong value)
        {
            if (size > 4)
            {
                Write(offset, 4, value & uint.MaxValue);
                return Write(offset + 4, 4, value >> 32);
            }

            if (!function.IsEmulated((int)offset, size))
            {
                return device.Write(offset, size, value);
            }

            // As any configuration write: with the hierarchy's lock, and its sink told.
            function.Bus?.Hierarchy?.ConfigWrite(function.Bdf, (int)offset, size, (uint)value);
            return AccessResult.Ok;
        }
    }
}
