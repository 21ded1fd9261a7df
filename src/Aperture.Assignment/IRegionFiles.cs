using Aperture.Linux;

namespace Aperture.Assignment;

/// <summary>A device whose regions are parts of a file that other processes could map too, if they were given it.</summary>
public interface IRegionFiles
{
    /// <summary>
    /// The file and where in it a region starts; null when nothing of the region can be mapped whole. Whoever has it has the device, not only the region. The
    /// device's: open until it is disposed.
    /// </summary>
    SafeFileDescriptor? Share(int region, out ulong offset);
}
