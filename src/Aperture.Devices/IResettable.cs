namespace Aperture.Devices;

/// <summary>A device that has a power-on state to go back to.</summary>
public interface IResettable
{
    /// <summary>
    /// Returns the device to its state after a platform reset and deasserts its interrupt lines.
    /// Called by the machine with the vCPUs outside the guest.
    /// </summary>
    void Reset();
}
