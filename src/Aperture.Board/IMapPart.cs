using Aperture.Memory;
using Aperture.Pci;

namespace Aperture.Board;

/// <summary>A step in which both address spaces change at once.</summary>
/// <param name="Memory">Changes of guest physical memory.</param>
/// <param name="Ports">Changes of the I/O ports.</param>
/// <param name="Only">The only function whose registers changed since the last step; null when it may be any.</param>
public readonly record struct MapChange(AddressChange Memory, AddressChange Ports, PciFunction? Only = null);

/// <summary>
/// A part of a board's map: it knows some registers and keeps what they place where they say. A board is a list of these, brought up to date one after
/// the other.
/// </summary>
public interface IMapPart
{
    /// <summary>
    /// Brings the address spaces to what the registers say now, within the caller's <paramref name="change"/>. With the hierarchy's lock held.
    /// </summary>
    void Update(MapChange change);
}
