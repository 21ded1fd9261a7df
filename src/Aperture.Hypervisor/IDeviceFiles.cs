using Aperture.Linux;

namespace Aperture.Hypervisor;

/// <summary>The files of assigned devices that a hypervisor has to know, for caches and interrupts to follow the devices. Thread-safe.</summary>
public interface IDeviceFiles
{
    /// <summary>Tells that the VM uses <paramref name="file"/>, a VFIO group or a device's character device; the latter before it is bound.</summary>
    /// <exception cref="ApertureException">The host refused.</exception>
    void Add(SafeFileDescriptor file);

    /// <summary>Takes back what <see cref="Add"/> told. Does nothing after the VM's end.</summary>
    /// <exception cref="ApertureException">The host refused.</exception>
    void Remove(SafeFileDescriptor file);
}
