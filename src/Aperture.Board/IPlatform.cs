using Aperture.Devices;
using Aperture.Memory;
using Aperture.Pci;

namespace Aperture.Board;

/// <summary>
/// What makes a board the board it is: the chipset and the devices at fixed places around the PCI tree. Everything else is <see cref="PciBoard"/>'s.
/// </summary>
public interface IPlatform : IResettable, IDisposable
{
    /// <summary>The chipset.</summary>
    IChipset Chipset { get; }

    /// <summary>How the interrupt pins of the root bus are wired.</summary>
    IIntxWiring Intx { get; }

    /// <summary>All parts of the map but the BARs, which come after them; in the order in which they are brought up to date.</summary>
    IReadOnlyList<IMapPart> Map { get; }

    /// <summary>Where RAM shows, by rising address. A new list whenever that changes.</summary>
    IReadOnlyList<AddressRange> Ram { get; }

    /// <summary>The part of RAM, as of the last update, that only system management mode sees; null when there is none.</summary>
    AddressRange? HiddenRam => null;

    /// <summary>What a BAR may decode, with RAM and the ECAM window where they are as of the last update.</summary>
    DecodeLimits Limits { get; }

    /// <summary>Firmware enumerates PCI before the operating system runs: it numbers buses and programs BARs and windows by itself.</summary>
    bool HasFirmware { get; }

    /// <summary>Places what no register moves; once, while the board is built.</summary>
    void Place(MapChange change);
}

/// <summary>What a platform finds on the board that it is made for.</summary>
/// <param name="Memory">Guest physical memory.</param>
/// <param name="Ports">I/O ports.</param>
/// <param name="MemoryDispatcher">Answers memory accesses that end in devices.</param>
/// <param name="PortDispatcher">Answers port accesses.</param>
/// <param name="Pci">The PCI tree, empty yet.</param>
/// <param name="Parts">What the board is built around.</param>
public sealed record BoardSite(
    AddressSpace Memory, AddressSpace Ports, Dispatcher MemoryDispatcher, Dispatcher PortDispatcher, PciHierarchy Pci, BoardParts Parts);
