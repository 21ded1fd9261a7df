namespace Aperture.Board;

/// <summary>A board's own function and where it is on the root bus.</summary>
/// <param name="Name">Its id, which no device of the user's may have.</param>
/// <param name="DeviceFunction">Device in bits 7:3, function in bits 2:0.</param>
public sealed record ChipsetPlace(string Name, byte DeviceFunction);
