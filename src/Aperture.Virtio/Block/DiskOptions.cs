using System.Diagnostics.CodeAnalysis;

namespace Aperture.Virtio.Block;

/// <summary>
/// What the user asked for with <c>--device disk,file=PATH[,id=ID][,readonly=on][,snapshot=on][,serial=TEXT][,bootindex=N][,addr=DD.F][,port=ID]</c>. Placement
/// options (pins) belong to the machine, which takes them out first.
/// </summary>
public sealed record DiskOptions
{
    private const int LongestName = 64;

    /// <summary>The device's name, unique in the machine; null when the user gave none.</summary>
    public string? Id { get; init; }

    /// <summary>The image.</summary>
    public required string File { get; init; }

    /// <summary>True when the guest may not write.</summary>
    public bool ReadOnly { get; init; }

    /// <summary>True when writes are forgotten at the end.</summary>
    public bool Snapshot { get; init; }

    /// <summary>What the guest reads as the disk's serial; null for the name.</summary>
    public string? Serial { get; init; }

    /// <summary>Its place in the boot order, 0 first; null when it is not to be booted from first.</summary>
    public int? BootIndex { get; init; }

    /// <summary>Device and function on its bus, or null when the machine picks.</summary>
    public byte? DeviceFunction { get; init; }

    /// <summary>The id of the port it sits below, or null for the root bus.</summary>
    public string? Port { get; init; }

    /// <summary>True for the options that <see cref="TryParse"/> knows.</summary>
    public static bool OwnsKey(string key) => key is "id" or "file" or "readonly" or "snapshot" or "serial" or "bootindex" or "addr" or "port";

    /// <summary>Reads the options after <c>disk</c>, in any order.</summary>
    /// <param name="options">Keys and values as the user wrote them.</param>
    /// <param name="disk">The disk on success.</param>
    /// <param name="error">One sentence without a full stop on failure.</param>
    public static bool TryParse(
        IReadOnlyList<KeyValuePair<string, string>> options,
        [NotNullWhen(true)] out DiskOptions? disk,
        [NotNullWhen(false)] out string? error)
    {
        ArgumentNullException.ThrowIfNull(options);
        disk = null;
        DiskOptions read = new() { File = "" };
        HashSet<string> seen = [];
        foreach ((string key, string value) in options)
        {
            string? fault = seen.Add(key) ? Take(ref read, key, value) : "the option is given twice";
            if (fault is not null)
            {
                error = $"disk: {key}={value}: {fault}";
                return false;
            }
        }

        error = read switch
        {
            { File: "" } => "disk: a file is missing; give file=PATH",
            { ReadOnly: true, Snapshot: true } => $"disk {read.File}: readonly=on and snapshot=on exclude each other: a snapshot is for a guest that writes",
            _ => null,
        };
        disk = error is null ? read : null;
        return disk is not null;
    }

    /// <summary>Opens the image as the options say.</summary>
    /// <param name="faults">Told one sentence when the host fails an access; worker thread.</param>
    /// <exception cref="ApertureException">The image or the temporary file cannot be opened.</exception>
    public IBlockStorage Open(Action<string>? faults = null)
    {
        RawImage image = RawImage.Open(File, ReadOnly || Snapshot, faults);
        if (!Snapshot)
        {
            return image;
        }

        try
        {
            return SnapshotOverlay.Create(image, faults: faults);
        }
        catch
        {
            image.Dispose();
            throw;
        }
    }

    // Null when the option was taken, else what is wrong with it.
    private static string? Take(ref DiskOptions disk, string key, string value)
    {
        switch (key)
        {
            case "id" or "port":
                bool isName = value.Length is > 0 and <= LongestName && value.All(c => char.IsAsciiLetterOrDigit(c) || c is '-' or '_' or '.');
                disk = key == "id" ? disk with { Id = value } : disk with { Port = value };
                return isName ? null : $"an id has 1 to {LongestName} letters, digits, dashes, dots and underscores";
            case "file":
                disk = disk with { File = value };
                return value.Length > 0 ? null : "the path is empty";
            case "readonly" or "snapshot":
                bool on = value == "on";
                disk = key == "readonly" ? disk with { ReadOnly = on } : disk with { Snapshot = on };
                return value is "on" or "off" ? null : "the value must be on or off";
            case "serial":
                disk = disk with { Serial = value };
                return value.Length is > 0 and <= VirtioBlock.IdLength && value.All(char.IsAscii)
                    ? null : $"a serial has 1 to {VirtioBlock.IdLength} ASCII characters";
            case "bootindex":
                bool isNumber = ByteSize.TryParseNumber(value, out ulong number) && number <= 255;
                disk = disk with { BootIndex = (int)(number & 255) };
                return isNumber ? null : "the boot index must be a number from 0 to 255";
            case "addr":
                bool valid = Bdf.TryParseDeviceFunction(value, out byte place);
                disk = disk with { DeviceFunction = place };
                return valid ? null : "the address must be DEVICE.FUNCTION in hexadecimal, 00.0 to 1f.7";
            default:
                return "there is no such option; the options are id, file, readonly, snapshot, serial, bootindex, addr and port";
        }
    }
}
