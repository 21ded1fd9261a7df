namespace Aperture.Virtio.Block;

/// <summary>Opens disk images.</summary>
public static class DiskImage
{
    /// <summary>Opens a raw image.</summary>
    /// <param name="path">Its file.</param>
    /// <param name="readOnly">True when the guest may not write.</param>
    /// <param name="snapshot">True when writes are forgotten at the end: the image itself is only read.</param>
    /// <param name="faults">Told one sentence when the host fails an access; worker thread.</param>
    /// <exception cref="ApertureException">The image or the temporary file cannot be opened.</exception>
    public static IBlockStorage Open(string path, bool readOnly, bool snapshot, Action<string>? faults = null)
    {
        RawImage image = RawImage.Open(path, readOnly || snapshot, faults);
        if (!snapshot)
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
}
