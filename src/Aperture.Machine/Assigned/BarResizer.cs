using System.Numerics;
using Aperture.Host.Model;
using Aperture.Machine.Topology;
using Aperture.Placement.Request;

namespace Aperture.Machine.Assigned;

/// <summary>
/// Resizes BARs on the host before a guest starts (sysfs <c>resourceN_resize</c>, Linux 5.19 on; PCI Express 5.0, 7.8.6). The kernel does that only while no
/// driver has the device, so the one that has it lets go meanwhile; and it may move the device's other BARs. The caller has made sure that nobody uses the
/// device: the kernel takes it from a running guest too.
/// </summary>
/// <param name="sys">Where sysfs is.</param>
internal sealed class BarResizer(string sys = "/sys")
{
    private const int LeastShift = 20;

    /// <summary>True when <see cref="Apply"/> has something to do: a BAR has another size than was asked for.</summary>
    public static bool HasWork(AssignedPart part) => Wanted(part).Any();

    /// <summary>Brings the BARs of <paramref name="part"/> to the sizes that were asked for; nothing when they have them.</summary>
    /// <returns>True when something was resized: what was read of the host before may have moved.</returns>
    /// <exception cref="ApertureException">The kernel refused; the device is with its driver again.</exception>
    public bool Apply(AssignedPart part)
    {
        if (!HasWork(part))
        {
            return false;
        }

        string name = part.HostName;
        string device = Path.Join(sys, "bus/pci/devices", name);
        string driverName = Path.GetFileName(new FileInfo(Path.Join(device, "driver")).LinkTarget)
            ?? throw new ApertureException(
                $"{part.Name} cannot be resized: it has no driver now; bind {name} to vfio-pci again and start over.", ApertureException.HostFailure);
        string driver = Path.Join(sys, "bus/pci/drivers", driverName);
        Write(Path.Join(driver, "unbind"), name, part, $"let {driverName} go of it");
        try
        {
            foreach ((int index, ulong size) in Wanted(part))
            {
                Write(Path.Join(device, $"resource{index}_resize"), $"{BitOperations.Log2(size) - LeastShift}", part,
                    $"resize {BarIndex.Name(index)} to {ByteSize.Format(size)}");
            }
        }
        finally
        {
            Write(Path.Join(driver, "bind"), name, part, $"give it to {driverName} again");
        }

        return true;
    }

    /// <summary>Refuses pins to the host's addresses that do not hold any more, because resizing moved the BARs.</summary>
    /// <param name="part">The device as it was planned.</param>
    /// <param name="now">The device as it is.</param>
    /// <exception cref="ApertureException">A BAR moved.</exception>
    public static void CheckPins(AssignedPart part, HostFunction now)
    {
        foreach (BarDemand bar in part.Bars.Where(b => b.Pin is not null && b.Pin == part.HostAddressOf(b.Index)))
        {
            GuestAddress? there = now.AllBars.FirstOrDefault(b => b.Index == bar.Index)?.Address;
            if (there != bar.Pin)
            {
                throw new ApertureException(
                    $"{part.Name} was resized, and the host moved {BarIndex.Name(bar.Index)} from {bar.Pin} to {there?.ToString() ?? "nowhere"} for that; "
                        + "start again, and the map will have it there.", ApertureException.HostFailure);
            }
        }
    }

    private static IEnumerable<KeyValuePair<int, ulong>> Wanted(AssignedPart part) =>
        part.Spec.Resizes.Where(r => part.Host is { } host && host.Bars.Any(b => b.Index == r.Key && b.Size != r.Value));

    private static void Write(string path, string text, AssignedPart part, string what)
    {
        try
        {
            // Not created: a missing file is a kernel that cannot, or a device that is not where it should be.
            using FileStream file = new(path, FileMode.Open, FileAccess.Write, FileShare.ReadWrite);
            file.Write(System.Text.Encoding.ASCII.GetBytes(text));
        }
        catch (Exception fault) when (fault is IOException or UnauthorizedAccessException)
        {
            throw new ApertureException($"{part.Name}: the kernel did not {what} ({path}: {fault.Message}).", ApertureException.HostFailure, fault);
        }
    }
}
