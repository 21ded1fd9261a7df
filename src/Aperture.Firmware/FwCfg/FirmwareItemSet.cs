namespace Aperture.Firmware.FwCfg;

/// <summary>What firmware finds in its configuration device; the board hands each item on to it.</summary>
/// <param name="Keys">Items with a key of their own.</param>
/// <param name="Files">Items with a name.</param>
public sealed record FirmwareItemSet(
    IReadOnlyDictionary<ushort, IFirmwareItem> Keys,
    IReadOnlyDictionary<string, IFirmwareItem> Files);
