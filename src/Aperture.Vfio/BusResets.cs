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
    // Held over a reset: no device becomes busy while its bus is reset.
    private readonly Lock _gate = new();

    // The two marks of each device; taken after the gate.
    private readonly Lock _marks = new();

    /// <summary>
    /// Notes that the guest uses <paramref name="device"/>, or that it has stopped until the next reset. To use it waits for the end of a reset that takes it
    /// along (<see cref="VfioDevice.IsResetAlong"/> tells before); to stop never waits.
    /// </summary>
    public void SetIdle(VfioDevice device, bool idle)
    {
        if (idle)
        {
            Mark(device, idle);
            return;
        }

        lock (_gate)
        {
            Mark(device, idle);
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
            if (TakeDone(device))
            {
                return 0;
            }

            if (calls.GetHotResetInfo(device.File, out IReadOnlyList<VfioDependentDevice> affected) is < 0 and int errno)
            {
                return -errno;
            }

            HashSet<string> names = [.. affected.Select(NameOf)];
            VfioDevice[] others = [.. open().Where(each => each != device && names.Contains(each.Name))];
            if (!TryTakeAlong(others))
            {
                return Errno.EBUSY;
            }

            // The kernel refuses more groups than there are functions (EINVAL), so those of other buses stay out of it.
            int[] groups = container?.GroupDescriptors(affected.Select(static each => each.Group)) ?? [];
            int result = calls.HotReset(device.File, groups);
            lock (_marks)
            {
                foreach (VfioDevice other in others)
                {
                    other.IsResetDone |= result >= 0;
                    other.IsResetAlong = false;
                }
            }

            return -Math.Min(0, result);
        }
    }

    private void Mark(VfioDevice device, bool idle)
    {
        lock (_marks)
        {
            device.IsIdle = idle;
            device.IsResetDone = false;
        }
    }

    private bool TakeDone(VfioDevice device)
    {
        lock (_marks)
        {
            (bool done, device.IsResetDone) = (device.IsResetDone, false);
            return done;
        }
    }

    // None becomes busy before the reset: the gate is held.
    private bool TryTakeAlong(VfioDevice[] others)
    {
        lock (_marks)
        {
            bool idle = Array.TrueForAll(others, static each => each.IsIdle);
            foreach (VfioDevice other in others)
            {
                other.IsResetAlong = idle;
            }

            return idle;
        }
    }

    private static string NameOf(VfioDependentDevice each) =>
        VfioDeviceAddress.Pci(each.Segment, new Bdf((ushort)(each.Bus << 8 | each.DeviceFunction))).Text;
}
