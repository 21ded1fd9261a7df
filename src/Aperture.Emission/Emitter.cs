namespace Aperture.Emission;

/// <summary>
/// Writes a planned topology as another monitor's own configuration, and in comments what that monitor cannot be told. The text depends on the
/// plan alone; names are quoted or escaped as its format needs.
/// </summary>
public static class Emitter
{
    private static readonly (string Name, Func<EmissionPlan, string> Write)[] Monitors =
    [
        ("qemu", QemuEmitter.Write),
        ("xl", XlEmitter.Write),
        ("libvirt", LibvirtEmitter.Write),
        ("cloud-hypervisor", CloudHypervisorEmitter.Write),
        ("openvmm", OpenVmmEmitter.Write),
    ];

    /// <summary>The monitors' names, as <c>--emit</c> takes them.</summary>
    public static IReadOnlyList<string> Names { get; } = [.. Monitors.Select(monitor => monitor.Name)];

    /// <summary>The configuration for the monitor called <paramref name="name"/>, lines ended by <c>\n</c>.</summary>
    /// <exception cref="ApertureException">There is no such monitor.</exception>
    public static string Emit(string name, EmissionPlan plan)
    {
        ArgumentNullException.ThrowIfNull(plan);
        foreach ((string known, Func<EmissionPlan, string> write) in Monitors)
        {
            if (known == name)
            {
                return write(plan);
            }
        }

        throw new ApertureException($"--emit {name} is not a monitor that this version writes for; write one of {string.Join(", ", Names)}.");
    }
}
