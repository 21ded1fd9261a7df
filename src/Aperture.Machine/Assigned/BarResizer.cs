using System.Numerics;
using Aperture.Host.Model;
using Aperture.Placement.Request;

namespace Aperture.Machine.Assigned;

/// <summary>
/// Resizes BARs on the host before a guest starts (sysfs <c>resourceN_resize</c>, Linux 5.19 on; PCI Express 5.0, 7.8.6). The kernel does that only while no
/// driver has the device, so vfio-pci lets go of it meanwhile; and it may move the device's other BARs.
/// </summary>
/// <param name="sys">Where sysfs is.</param>
internal sealed class BarResizer(string sys = "/sys")
{
    private const int LeastShift = 20;

    /// <summary>Brings the BARs of <paramref name="part"/> to the sizes that were asked for; nothing when they have them.</summary>
    /// <returns>True when something was resized: what was read of the host before may have moved.</returns>
    /// <exception cref="ApertureException">The kernel refused; the device is with vfio-pci again.</exception>
    public bool Apply(AssignedPart part)
    {
        List<KeyValuePair<int, ulong>> wanted = [.. part.Spec.Resizes.Where(r => part.Host.Bars.Any(b => b.Index == r.Key && b.Size != r.Value))];
        if (wanted.Count == 0)
        {
            return false;
        }

        string name = part.Host.Address.ToString();
        string device = Path.Join(sys, "bus/pci/devices", name);
        string driver = Path.Join(sys, "bus/pci/drivers/vfio-pci");
        Write(Path.Join(driver, "unbind"), name, part, "let vfio-pci go of it");
        try
        {
            foreach ((int index, ulong size) in wanted)
            {
                Write(Path.Join(device, $"resource{index}_resize"), $"{BitOperations.Log2(size) - LeastShift}", part,
                    $"resize {BarIndex.Name(index)} to {ByteSize.Format(size)}");
            }
        }
        finally
        {
            Write(Path.Join(driver, "bind"), name, part, "give it to vfio-pci again");
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
