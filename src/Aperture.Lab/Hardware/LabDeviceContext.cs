namespace Aperture.Lab.Hardware;

/// <summary>What the devices of one machine share while their options are made.</summary>
/// <param name="folder">The run's private folder.</param>
internal sealed class LabDeviceContext(string folder)
{
    private int _slots;

    /// <summary>The run's private folder, which holds the drives' images.</summary>
    public string Folder { get; } = folder;

    /// <summary>A hot-plug slot that no other port has: QEMU's chassis and slot properties.</summary>
    public string NextSlot() => $"chassis={++_slots},slot=0";
}
