using System.Diagnostics.CodeAnalysis;
using System.Globalization;

namespace Aperture.Vfio;

/// <summary>Where a device of the host is found: by its PCI address, by its folder in sysfs, or as a descriptor that this process was given.</summary>
public sealed record VfioDeviceAddress
{
    private VfioDeviceAddress(string text) => Text = text;

    /// <summary>As a user writes it.</summary>
    public string Text { get; }

    /// <summary>The device's name below /sys/bus/pci/devices (<c>0000:01:00.0</c>), when it was given so; otherwise null.</summary>
    public string? PciName { get; private init; }

    /// <summary>Its folder in sysfs, when it was given so; otherwise null.</summary>
    public string? SysfsPath { get; private init; }

    /// <summary>
    /// The number of an open descriptor of its character device (/dev/vfio/devices/vfioN), when it was given so; otherwise null. Opening takes it over.
    /// </summary>
    public int? Descriptor { get; private init; }

    /// <summary>By PCI address.</summary>
    public static VfioDeviceAddress Pci(ushort segment, Bdf bdf)
    {
        string name = string.Create(CultureInfo.InvariantCulture, $"{segment:x4}:{bdf}");
        return new VfioDeviceAddress(name) { PciName = name };
    }

    /// <summary>By its folder in sysfs: a PCI device's or a mediated device's.</summary>
    public static VfioDeviceAddress Sysfs(string path)
    {
        ArgumentException.ThrowIfNullOrEmpty(path);
        return new VfioDeviceAddress(path) { SysfsPath = path };
    }

    /// <summary>By the number of an open descriptor of its character device.</summary>
    public static VfioDeviceAddress Passed(int descriptor)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(descriptor);
        return new VfioDeviceAddress(string.Create(CultureInfo.InvariantCulture, $"descriptor {descriptor}")) { Descriptor = descriptor };
    }

    /// <summary>Reads <c>[SSSS:]BB:DD.F</c>, <c>/sys/...</c> or a descriptor's number.</summary>
    public static bool TryParse(string text, [NotNullWhen(true)] out VfioDeviceAddress? address)
    {
        ArgumentNullException.ThrowIfNull(text);
        address = null;
        if (text.StartsWith('/'))
        {
            address = Sysfs(text);
        }
        else if (int.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out int descriptor))
        {
            address = Passed(descriptor);
        }
        else if (Bdf.TryParse(text, out Bdf bdf))
        {
            address = Pci(0, bdf);
        }
        else if (text.IndexOf(':') is > 0 and <= 4 and int colon
            && ushort.TryParse(text.AsSpan(0, colon), NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture, out ushort segment)
            && Bdf.TryParse(text.AsSpan(colon + 1), out bdf))
        {
            address = Pci(segment, bdf);
        }

        return address is not null;
    }

    /// <summary>As a user writes it.</summary>
    public override string ToString() => Text;
}
