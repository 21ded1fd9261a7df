using Aperture.Mediation;
using Aperture.Vfio;

namespace Aperture.Cli.Verbs;

/// <summary>Functions of the host for mediators, by VFIO.</summary>
internal static class HostFunctions
{
    /// <summary>Opens a function: it is this process's alone until it is disposed, with an IOMMU of its own.</summary>
    /// <param name="text">As users write it: <c>[SSSS:]BB:DD.F</c>, a folder of sysfs, or a descriptor's number.</param>
    /// <exception cref="ApertureException">That is none, or it cannot be opened.</exception>
    public static HostFunction Open(string text)
    {
        if (!VfioDeviceAddress.TryParse(text, out VfioDeviceAddress? address))
        {
            throw new ApertureException($"vfio={text} is no function of the host; write it as 0000:01:00.0, or as a folder of /sys");
        }

        VfioHost host = VfioHost.Open(VfioPath.Auto, [address]);
        try
        {
            return new HostFunction(host.Open(address), host.Iommu, host);
        }
        catch
        {
            host.Dispose();
            throw;
        }
    }
}
