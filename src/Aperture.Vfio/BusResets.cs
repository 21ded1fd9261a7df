using Aperture.Linux;
using Aperture.Linux.Vfio;

namespace Aperture.Vfio;

/// <summary>
/// Resets of a bus or slot (VFIO_DEVICE_PCI_HOT_RESET), which take every function there with them: a GPU and its audio function without a reset of their own
/// are reset together, once, when both are idle. Thread-safe.
/// </summary>
/// <param name="calls">The kernel.</param>
/// <param name="container">The groups; null for iommufd, where the kernel knows by itself what is this process's.</param>
/// <param name="open">The devices that are open.</param>
internal sealed class BusResets(IVfioCalls calls, VfioContainer? container, Func<IReadOnlyList<VfioDevice>> open)
{
    // Held over a reset: no device becomes busy while its bus is reset. Also guards the two marks of each device.
    private readonly Lock _gate = new();

    /// <summary>Notes that the guest uses <paramref name="device"/>, or that it has stopped until the next reset.</summary>
    public void SetIdle(VfioDevice device, bool idle)
    {
        lock (_gate)
        {
            device.IsIdle = idle;
            device.IsResetDone = false;
        }
    }

    /// <summary>
    /// Resets the bus or slot of <paramref name="device"/>; nothing when that happened on behalf of another function since the device is idle. 0, or an errno:
    /// EBUSY when a function there is in use in this machine, the kernel's when one is not this process's.
    /// </summary>
    public int Reset(VfioDevice device)
    {
        lock (_gate)
        {
            if (device.IsResetDone)
            {
                device.IsResetDone = false;
                return 0;
            }

            if (calls.GetHotResetInfo(device.File, out IReadOnlyList<VfioDependentDevice> affected) is < 0 and int errno)
            {
                return -errno;
            }

            HashSet<string> names = [.. affected.Select(NameOf)];
            VfioDevice[] others = [.. open().Where(each => each != device && names.Contains(each.Name))];
            if (!Array.TrueForAll(others, static each => each.IsIdle))
            {
                return Errno.EBUSY;
            }

            // The kernel refuses more groups than there are functions (EINVAL), so those of other buses stay out of it.
            int[] groups = container?.GroupDescriptors(affected.Select(static each => each.Group)) ?? [];
            int result = calls.HotReset(device.File, groups);
            foreach (VfioDevice other in result < 0 ? [] : others)
            {
                other.IsResetDone = true;
            }

            return -Math.Min(0, result);
        }
    }

    private static string NameOf(VfioDependentDevice each) =>
        VfioDeviceAddress.Pci(each.Segment, new Bdf((ushort)(each.Bus << 8 | each.DeviceFunction))).Text;
}
