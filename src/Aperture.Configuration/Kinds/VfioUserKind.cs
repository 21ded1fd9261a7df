using Aperture.Configuration.Options;

namespace Aperture.Configuration.Kinds;

/// <summary>A device that another process serves: <c>--device vfio-user,socket=PATH,...</c>; checked for form, nobody is asked.</summary>
public sealed record VfioUserSpec : AssignedSpec
{
    /// <summary>The UNIX socket at which it is served.</summary>
    public string Socket { get; init; } = "";

    /// <summary>Memory of the device that its server offers is mapped; false: every access goes by a message.</summary>
    public bool MapsAreas { get; init; } = true;

    /// <inheritdoc/>
    public override DeviceKind Kind => TheKind;

    internal static DeviceKind TheKind { get; } = new DeviceKind<VfioUserSpec>(
        "vfio-user", "vfio-user,socket=PATH,...", "a device that another process serves (docs/vfio-user.md)", new OptionTable<VfioUserSpec>(
        "--device",
        "a vfio-user device",
        [
            new("socket", "PATH", OptionShape.File, "the UNIX socket at which it is served", (s, v) => s with { Socket = v.FileName() }) { Required = true },
            PciOptions.Id<VfioUserSpec>("its name, unique in the machine (default: the socket's file name)"),
            .. PciOptions.Place<VfioUserSpec>(),
            .. PciOptions.Pins<VfioUserSpec>(),
            RomEntry<VfioUserSpec>(),
            new("map", "on|off", OptionShape.OnOff, "map the memory that the server offers (default on); off: every access is a message",
                (s, v) => s with { MapsAreas = v.OnOff() }),
        ],
        Finish));

    private static VfioUserSpec Finish(VfioUserSpec spec, OptionContext context)
    {
        PciOptions.CheckPolicy(context, spec.Pins.Count > 0, "bars=barN@ADDRESS");
        return spec;
    }
}
