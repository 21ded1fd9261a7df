using System.Globalization;
using System.Numerics;
using Aperture.Configuration.Options;
using Aperture.Pci;
using Aperture.Placement.Request;

namespace Aperture.Configuration.Kinds;

/// <summary>Which device of the host is meant, as the user named it: exactly one member is given.</summary>
/// <param name="Function">By its address.</param>
/// <param name="SysfsPath">By a path below /sys that ends in its address, or a mediated device's UUID, directly or through a link.</param>
/// <param name="Descriptor">By the number of a descriptor that this process inherited: an opened <c>/dev/vfio/devices/vfioN</c>.</param>
public readonly record struct HostDeviceName(PciAddress? Function, string? SysfsPath, int? Descriptor)
{
    /// <summary>As the user wrote it: <c>host=0000:01:00.0</c>.</summary>
    public override string ToString() =>
        Function is { } function ? $"host={function}" : SysfsPath is not null ? $"sysfs={SysfsPath}" : $"fd={Descriptor}";
}

/// <summary>A device of the host that the guest gets: <c>--device vfio,host=0000:01:00.0,...</c>; checked for form, not against the host.</summary>
public sealed record VfioSpec : AssignedSpec
{
    private const int LastClique = 15;
    private const string HostWord = "host";
    private static readonly string[] Names = [HostWord, "sysfs", "fd"];

    /// <summary>Which device.</summary>
    public HostDeviceName Device { get; init; }

    /// <summary>The GPUDirect P2P clique that NVIDIA's driver finds in the guest, 0 to 15; null for none.</summary>
    public int? GpuDirectClique { get; init; }

    /// <inheritdoc/>
    public override DeviceKind Kind => TheKind;

    internal static DeviceKind TheKind { get; } = new DeviceKind<VfioSpec>(
        "vfio", "vfio,host=0000:01:00.0,...", "a device of this host (docs/passthrough.md)", new OptionTable<VfioSpec>(
        "--device",
        "a vfio device",
        [
            new("host", "DDDD:BB:DD.F", OptionShape.HostFunction, "the function, as lspci -D names it; or sysfs= or fd=",
                (s, v) => s with { Device = s.Device with { Function = AddressOf(v) } }),
            new("sysfs", "PATH", OptionShape.File, "the function, or a mediated device, by a path below /sys",
                (s, v) => s with { Device = s.Device with { SysfsPath = v.FileName() } }),
            new("fd", "N", OptionShape.Count, "the function by an inherited descriptor of /dev/vfio/devices/vfioN",
                (s, v) => s with { Device = s.Device with { Descriptor = DescriptorOf(v) } }),
            PciOptions.Id<VfioSpec>("its name, unique in the machine (default: its address, or UUID, on the host)"),
            .. PciOptions.Place<VfioSpec>(),
            .. PciOptions.Pins<VfioSpec>("all=host|barN=host|barN@ADDRESS,...", OptionShape.HostPins, Pin),
            RomEntry<VfioSpec>(),
            new("resize", "barN@SIZE", OptionShape.Resizes, "resizes a BAR first; [bar0@16G,bar2@256M] for several",
                (s, v) => s with { Resizes = [.. v.Parts.Select(part => Resize(v, part))] }),
            new("x_nv_gpudirect_clique", "N", OptionShape.Count, $"the GPUDirect P2P clique that NVIDIA's driver finds, 0 to {LastClique}",
                (s, v) => s with { GpuDirectClique = CliqueOf(v) }),
        ],
        Finish));

    private static PciAddress AddressOf(OptionValue value) => PciAddress.TryParse(value.Text, out PciAddress address)
        ? address
        : throw value.Fault(" is not an address of a function; write it as lspci -D does, such as 0000:01:00.0");

    private static int DescriptorOf(OptionValue value) =>
        int.TryParse(value.Text, NumberStyles.None, CultureInfo.InvariantCulture, out int descriptor) && descriptor > 2
            ? descriptor
            : throw value.Fault(" is not the number of an inherited descriptor; write 3 or more");

    private static int CliqueOf(OptionValue value) =>
        int.TryParse(value.Text, NumberStyles.None, CultureInfo.InvariantCulture, out int clique) && clique <= LastClique
            ? clique
            : throw value.Fault($" is not a clique; write a number from 0 to {LastClique}");

    private static KeyValuePair<int, ulong> Resize(OptionValue value, string part)
    {
        int mark = part.IndexOfAny(['@', '=']);
        if (mark < 0 || !BarIndex.TryParse(part.AsSpan(0, mark), out int index) || index >= BarKinds.RomIndex)
        {
            throw value.FaultOf($"resize={part} does not name a BAR and a size; write resize=bar0@16G, or resize=[bar0@16G,bar2@256M] for several");
        }

        return ByteSize.TryParse(part.AsSpan(mark + 1), out ulong size) && BitOperations.IsPow2(size) && size >= 1 << 20
            ? new(index, size)
            : throw value.FaultOf($"resize={part}: a resizable BAR's size is a power of two from 1M on (PCI Express 5.0, 7.8.6)");
    }

    private static VfioSpec Pin(VfioSpec spec, OptionValue value, string part)
    {
        int mark = part.IndexOfAny(['@', '=']);
        if (mark > 0 && part.AsSpan(mark + 1).SequenceEqual(HostWord))
        {
            if (part.AsSpan(0, mark).SequenceEqual("all"))
            {
                return spec with { AllAsHost = true };
            }

            if (!BarIndex.TryParse(part.AsSpan(0, mark), out int index) || index > BarKinds.RomIndex)
            {
                throw value.FaultOf($"'{part}' does not name a BAR: write bar0 to bar5, rom, or all");
            }

            PciOptions.CheckOnce(spec, value, index, spec.HostPins.Contains(index));
            return spec with { HostPins = [.. spec.HostPins, index] };
        }

        if (!PinSyntax.TryParsePin(part, out BarPin pin, out string? error))
        {
            throw value.FaultOf(error!);
        }

        PciOptions.CheckOnce(spec, value, pin.Index, spec.HostPins.Contains(pin.Index));
        return spec with { Pins = [.. spec.Pins, pin] };
    }

    private static VfioSpec Finish(VfioSpec spec, OptionContext context)
    {
        string[] given = [.. Names.Where(key => context.Find(key) is not null)];
        if (given.Length != 1)
        {
            throw context.Fault(given.Length == 0
                ? "which device is meant? write host=0000:01:00.0, sysfs=PATH or fd=N; 'aperture host' lists them"
                : $"{given[0]}= and {given[1]}= both name a device; give one of them");
        }

        if (spec.Device.Descriptor is not null && spec.Resizes.Count > 0)
        {
            throw context.Fault("resize= takes the device from its driver for a moment, which ends the descriptor of fd=; name the device with host= or "
                + "sysfs=");
        }

        PciOptions.CheckPolicy(context, spec is not { Pins.Count: 0, HostPins.Count: 0, AllAsHost: false }, "bars=all=host");
        return spec;
    }
}
