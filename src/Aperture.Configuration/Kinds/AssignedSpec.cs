using Aperture.Configuration.Options;

namespace Aperture.Configuration.Kinds;

/// <summary>What the guest finds as the expansion ROM.</summary>
public enum AssignedRom : byte
{
    /// <summary>What the device has.</summary>
    Device,

    /// <summary>None.</summary>
    Off,

    /// <summary>The content of a file.</summary>
    File,
}

/// <summary>A device that the guest drives itself: one of the host, or one that another process serves. Its BARs are known once somebody asked it.</summary>
public abstract record AssignedSpec : PciDeviceSpec
{
    /// <summary>BARs that are to have the host's address, by index.</summary>
    public IReadOnlyList<int> HostPins { get; init; } = [];

    /// <summary>True when every BAR without a pin of its own is to have the host's address.</summary>
    public bool AllAsHost { get; init; }

    /// <summary>BARs that are to be resized before the guest starts, by index, and the sizes in bytes.</summary>
    public IReadOnlyList<KeyValuePair<int, ulong>> Resizes { get; init; } = [];

    /// <summary>Which ROM the guest finds.</summary>
    public AssignedRom Rom { get; init; }

    /// <summary>The file of <see cref="AssignedRom.File"/>.</summary>
    public string? RomFile { get; init; }

    /// <inheritdoc/>
    public override IEnumerable<HostFile> Files => RomFile is null ? [] : [new(RomFile, HostAccess.Read)];

    private protected static OptionEntry<T> RomEntry<T>()
        where T : AssignedSpec =>
        new("rom", "off|PATH", OptionShape.File, "the expansion ROM that the guest finds (default: the device's)", (spec, value) => value.Text switch
        {
            "off" => spec with { Rom = AssignedRom.Off },
            "" => throw value.FaultOf("rom= needs a file name, or off"),
            string path => spec with { Rom = AssignedRom.File, RomFile = path },
        });
}
