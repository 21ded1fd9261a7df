using System.Globalization;
using Aperture.Host.Model;
using Aperture.Machine.Configuration;
using Aperture.Pci;
using Aperture.Placement.Request;

namespace Aperture.Machine.Assigned;

/// <summary>Reads <c>--device vfio,host=0000:01:00.0,id=nvme0,port=rp0,bars=all=host</c>. Each refusal is one sentence.</summary>
internal static class VfioDeviceOptions
{
    /// <summary>What the option takes.</summary>
    public static readonly string[] Keys =
        ["host", "sysfs", "fd", "id", "port", "addr", "bars", "fixed-bars", "policy", "rom", "resize", "x_nv_gpudirect_clique"];

    private static readonly string[] Names = ["host", "sysfs", "fd"];

    private const int LastClique = 15;
    private const string HostWord = "host";

    /// <summary>The device that <paramref name="device"/>, whose type is <c>vfio</c>, describes.</summary>
    /// <exception cref="ApertureException">An option is unknown, malformed, or contradicts another.</exception>
    public static AssignedSpec Read(DeviceConfig device)
    {
        OptionList list = device.Options;
        CheckKeys(list);
        AssignedSpec spec = new(Id(list), Device(list))
        {
            Port = list.Find("port"),
            DeviceFunction = Place(list),
            Policy = Policy(list.Find("policy")),
            Resizes = [.. Items(list, "resize").Select(Resize)],
            GpuDirectClique = Clique(list.Find("x_nv_gpudirect_clique")),
        };
        spec = Rom(spec, list.Find("rom"));
        foreach (string pin in list.Items.Where(i => i.Key is "bars" or "fixed-bars").SelectMany(i => i.Value.Split(',')))
        {
            spec = Pin(spec, pin);
        }

        if (list.Find("policy") is not null && spec is { Pins.Count: 0, HostPins.Count: 0, AllAsHost: false })
        {
            throw Fault($"policy={list.Find("policy")} says what happens when the guest moves a pinned BAR, and none is pinned; add bars=all=host or leave policy= out");
        }

        return spec;
    }

    private static void CheckKeys(OptionList list)
    {
        foreach ((string key, _) in list.Items)
        {
            if (!Keys.Contains(key))
            {
                string? near = Suggestion.Nearest(key, Keys);
                throw Fault($"there is no option {key}=; {(near is null ? $"it takes {string.Join(", ", Keys.Select(k => k + "="))}" : $"did you mean {near}=?")}");
            }
        }
    }

    private static string? Id(OptionList list)
    {
        string? id = list.Find("id");
        return id is null || (id.Length is > 0 and <= 64 && id.All(c => char.IsAsciiLetterOrDigit(c) || c is '-' or '_' or '.' or ':'))
            ? id
            : throw Fault($"id={id}: an id has 1 to 64 letters, digits, dashes, dots and underscores");
    }

    private static HostDeviceName Device(OptionList list)
    {
        string[] given = [.. Names.Where(key => list.Find(key) is not null)];
        if (given.Length != 1)
        {
            throw Fault(given.Length == 0
                ? "which device is meant? write host=0000:01:00.0, sysfs=PATH or fd=N; 'aperture host' lists them"
                : $"{given[0]}= and {given[1]}= both name a device; give one of them");
        }

        string value = list.Require(given[0]);
        return given[0] switch
        {
            "host" => PciAddress.TryParse(value, out PciAddress address)
                ? new HostDeviceName(address, null, null)
                : throw Fault($"host={value} is not an address of a function; write it as lspci -D does, such as 0000:01:00.0"),
            "sysfs" => new HostDeviceName(null, value, null),
            _ => int.TryParse(value, NumberStyles.None, CultureInfo.InvariantCulture, out int descriptor) && descriptor > 2
                ? new HostDeviceName(null, null, descriptor)
                : throw Fault($"fd={value} is not the number of an inherited descriptor; write 3 or more"),
        };
    }

    private static byte? Place(OptionList list) => list.Find("addr") is not { } text
        ? null
        : Bdf.TryParseDeviceFunction(text, out byte place)
            ? place
            : throw Fault($"addr={text} is not a place on a bus; write DEVICE.FUNCTION in hexadecimal, such as 04.0");

    private static BarPinPolicy Policy(string? text) => text is null
        ? BarPinPolicy.Lock
        : PinSyntax.TryParsePolicy(text, out BarPinPolicy policy, out _) ? policy : throw Fault($"policy={text} is not a policy; write lock, follow or stop");

    private static int? Clique(string? text) => text is null
        ? null
        : int.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out int clique) && clique <= LastClique
            ? clique
            : throw Fault($"x_nv_gpudirect_clique={text} is not a clique; write a number from 0 to {LastClique}");

    private static AssignedSpec Rom(AssignedSpec spec, string? text) => text switch
    {
        null => spec,
        "off" => spec with { Rom = AssignedRom.Off },
        "" => throw Fault("rom= needs a file name, or off"),
        _ => spec with { Rom = AssignedRom.File, RomFile = text },
    };

    private static string[] Items(OptionList list, string key) => list.Find(key)?.Split(',') ?? [];

    private static KeyValuePair<int, ulong> Resize(string text)
    {
        int mark = text.IndexOfAny(['@', '=']);
        if (mark < 0 || !BarIndex.TryParse(text.AsSpan(0, mark), out int index) || index >= BarKinds.RomIndex)
        {
            throw Fault($"resize={text} does not name a BAR and a size; write resize=bar0@16G, or resize=[bar0@16G,bar2@256M] for several");
        }

        return ByteSize.TryParse(text.AsSpan(mark + 1), out ulong size) && System.Numerics.BitOperations.IsPow2(size) && size >= 1 << 20
            ? new(index, size)
            : throw Fault($"resize={text}: a resizable BAR's size is a power of two from 1M on (PCI Express 5.0, 7.8.6)");
    }

    private static AssignedSpec Pin(AssignedSpec spec, string text)
    {
        int mark = text.IndexOfAny(['@', '=']);
        if (mark > 0 && text.AsSpan(mark + 1).SequenceEqual(HostWord))
        {
            if (text.AsSpan(0, mark).SequenceEqual("all"))
            {
                return spec with { AllAsHost = true };
            }

            return BarIndex.TryParse(text.AsSpan(0, mark), out int index) && index <= BarKinds.RomIndex
                ? Once(spec, index) with { HostPins = [.. spec.HostPins, index] }
                : throw Fault($"'{text}' does not name a BAR: write bar0 to bar5, rom, or all");
        }

        return PinSyntax.TryParsePin(text, out BarPin pin, out string? error)
            ? Once(spec, pin.Index) with { Pins = [.. spec.Pins, pin] }
            : throw Fault(error!);
    }

    private static AssignedSpec Once(AssignedSpec spec, int index) => spec.HostPins.Contains(index) || spec.Pins.Any(p => p.Index == index)
        ? throw Fault($"{BarKinds.BarName(index)} is pinned twice; give it one address")
        : spec;

    private static ApertureException Fault(string sentence) => new($"--device vfio: {sentence}.");
}
