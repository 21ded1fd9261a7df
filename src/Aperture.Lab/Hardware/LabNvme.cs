using System.Text;

namespace Aperture.Lab.Hardware;

/// <summary>
/// An NVMe drive: MSI-X, one 64-bit memory BAR, function-level reset. Without an image it is a new drive of
/// <see cref="SizeBytes"/> per run whose first <see cref="PatternBytes"/> hold <see cref="Pattern"/> and the rest zeros;
/// its writes last until the lab ends.
/// </summary>
/// <param name="Id">Its name and serial number.</param>
/// <param name="Port">The port above it.</param>
public sealed record LabNvme(string Id, string Port) : LabDevice(Id)
{
    /// <summary>Size of a drive without an image.</summary>
    public const long SizeBytes = 256L << 20;

    /// <summary>Length of the pattern at its start.</summary>
    public const int PatternBytes = 4 << 20;

    private const int SectorBytes = 512;

    /// <summary>A raw image of the host, absolute; it stays as it is. Null for a new drive.</summary>
    public string? Image { get; init; }

    /// <summary>
    /// Size of the controller memory buffer (NVMe 1.4 section 4.7) in MiB, in BAR 2: memory of the device that peers can address. 0 for none.
    /// </summary>
    public int ControllerMemoryMiB { get; init; }

    internal override string Model => "nvme";

    /// <summary>
    /// One sector of a new drive: a line of text with the drive's name and the sector's number in 16 hexadecimal digits,
    /// and after it bytes that count up from the sector's number.
    /// </summary>
    /// <param name="id">The drive's name.</param>
    /// <param name="sector">Number of the 512-byte sector.</param>
    /// <param name="bytes">Receives it; 512 bytes.</param>
    public static void Pattern(string id, long sector, Span<byte> bytes)
    {
        for (int i = 0; i < bytes.Length; i++)
        {
            bytes[i] = unchecked((byte)(sector + i));
        }

        Encoding.ASCII.GetBytes($"APERTURE {id} sector {sector:x16}\n", bytes);
    }

    internal override IEnumerable<(string Option, string Value)> Options(LabDeviceContext context)
    {
        // A named image is left as it was; a run's own is thrown away with its folder, so nothing of it needs to reach a disk.
        string file = Image ?? ImagePath(context.Folder);
        string kept = Image is null ? "cache=unsafe" : "snapshot=on";
        yield return ("-drive", $"file={QemuCommandLine.Escape(file)},if=none,id=drive-{Id},format=raw,{kept}");
        string memory = ControllerMemoryMiB > 0 ? $",cmb_size_mb={ControllerMemoryMiB}" : "";
        yield return ("-device", $"nvme,id={Id},drive=drive-{Id},serial={Id},bus={Port}{memory}");
    }

    internal override void MakeFiles(string folder)
    {
        if (Image is not null)
        {
            return;
        }

        byte[] pattern = new byte[PatternBytes];
        for (int sector = 0; sector < PatternBytes / SectorBytes; sector++)
        {
            Pattern(Id, sector, pattern.AsSpan(sector * SectorBytes, SectorBytes));
        }

        using FileStream file = File.Create(ImagePath(folder));
        file.SetLength(SizeBytes);
        file.Write(pattern);
    }

    private string ImagePath(string folder) => Path.Combine(folder, Id + ".img");
}
