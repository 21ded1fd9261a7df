using Aperture.Configuration.Options;
using Aperture.Pci;
using Aperture.Placement.Request;

namespace Aperture.Configuration.Kinds;

/// <summary>The options that every device on PCI has, and their checks.</summary>
internal static class PciOptions
{
    private const string HostWord = "host";

    public static OptionEntry<T> Id<T>(string help = "its name, unique in the machine")
        where T : PciDeviceSpec => new("id", "NAME", OptionShape.Name, help, (s, v) => s with { Id = v.Name() });

    /// <summary>Its place: on the root bus, or below a port.</summary>
    public static IEnumerable<OptionEntry<T>> Place<T>()
        where T : PciDeviceSpec =>
        [
            new("addr", "DD.F", OptionShape.Place, "device and function on its bus, hexadecimal (default: the next free one)",
                (s, v) => s with { DeviceFunction = v.Place() }),
            new("port", "PORT", OptionShape.Name, "the root or downstream port it is plugged into (default: the root bus)",
                (s, v) => s with { Port = v.PortName() }),
        ];

    /// <summary>Pins and their policy, for a device whose BARs are its own.</summary>
    public static IEnumerable<OptionEntry<T>> Pins<T>()
        where T : PciDeviceSpec => Pins<T>("barN@ADDRESS,...", OptionShape.Pins, Pin);

    /// <summary>Pins and their policy.</summary>
    public static IEnumerable<OptionEntry<T>> Pins<T>(string form, OptionShape shape, Func<T, OptionValue, string, T> pin)
        where T : PciDeviceSpec =>
        [
            new("bars", form, shape, "pins BARs to addresses (fixed-bars= is the same)",
                (s, v) => v.Parts.Aggregate(s, (spec, part) => pin(spec, v, part))) { Repeatable = true },
            new("fixed-bars", form, shape, "", (s, v) => v.Parts.Aggregate(s, (spec, part) => pin(spec, v, part))) { Repeatable = true, Shown = null },
            new("policy", "lock|follow|stop", OptionShape.OneOf("lock", "follow", "stop"), "what a guest gets that moves a pinned BAR (default lock)",
                (s, v) => s with { Policy = Policy(v) }),
        ];

    /// <summary>Refuses a policy without a pin, and pins of BARs that the device does not have.</summary>
    /// <exception cref="ApertureException">There is one.</exception>
    public static T CheckPins<T>(T spec, OptionContext context, string name, string remedy)
        where T : PciDeviceSpec
    {
        CheckPolicy(context, spec.Pins.Count > 0, "bars=barN@ADDRESS");
        foreach (BarPin pin in spec.Pins)
        {
            if (!spec.Demands.Any(bar => bar.Index == pin.Index))
            {
                throw new ApertureException($"{name} has no {BarIndex.Name(pin.Index)} to pin at {pin.Address}; {remedy}.");
            }
        }

        return spec;
    }

    /// <summary>Refuses a policy without a pin.</summary>
    /// <exception cref="ApertureException">There is one.</exception>
    public static void CheckPolicy(OptionContext context, bool isPinned, string example)
    {
        if (context.Find("policy") is { } text && !isPinned)
        {
            throw context.Fault($"policy={text} says what happens when the guest moves a pinned BAR, and none is pinned; add {example} or leave policy= out");
        }
    }

    /// <summary>Refuses a BAR that already has an address.</summary>
    /// <exception cref="ApertureException">It has.</exception>
    public static void CheckOnce(PciDeviceSpec spec, OptionValue value, int index, bool isHosts = false)
    {
        if (isHosts || spec.Pins.Any(p => p.Index == index))
        {
            throw value.FaultOf($"{BarIndex.Name(index)} is pinned twice; give it one address");
        }
    }

    private static T Pin<T>(T spec, OptionValue value, string part)
        where T : PciDeviceSpec
    {
        if (part.EndsWith(HostWord, StringComparison.Ordinal))
        {
            throw value.FaultOf($"'{part}' asks for a host address, which only a passed-through device has; write bar0@ADDRESS");
        }

        if (!PinSyntax.TryParsePin(part, out BarPin pin, out string? error))
        {
            throw value.FaultOf(error!);
        }

        CheckOnce(spec, value, pin.Index);
        return spec with { Pins = [.. spec.Pins, pin] };
    }

    private static BarPinPolicy Policy(OptionValue value) => PinSyntax.TryParsePolicy(value.Text, out BarPinPolicy policy, out _)
        ? policy
        : throw value.Fault(" is not a policy; write lock, follow or stop");
}
