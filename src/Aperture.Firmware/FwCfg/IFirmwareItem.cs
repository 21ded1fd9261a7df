namespace Aperture.Firmware.FwCfg;

/// <summary>
/// A run of bytes that firmware reads through the configuration device (QEMU's fw_cfg), made when it is asked for: a kernel stays in its file, a
/// table is built when it is selected. Called under the device's lock, one call at a time; nothing throws.
/// </summary>
public interface IFirmwareItem
{
    /// <summary>Bytes, at most 2^32 - 1. Fixed once the item is handed to the device: the directory tells it to the guest.</summary>
    ulong Length { get; }

    /// <summary>The guest may overwrite the item (only by DMA).</summary>
    bool IsWritable => false;

    /// <summary>The guest selected the item and will read it from the start: the moment to bring the content up to date.</summary>
    void Select()
    {
    }

    /// <summary>
    /// Fills <paramref name="destination"/> from <paramref name="offset"/> on; the caller stays inside <see cref="Length"/>. False: the host could not.
    /// </summary>
    bool Read(ulong offset, Span<byte> destination);

    /// <summary>Takes bytes from the guest; the caller stays inside <see cref="Length"/>. False: refused.</summary>
    bool Write(ulong offset, ReadOnlySpan<byte> source) => false;

    /// <summary>A write by the guest ended; every byte of it was taken. The moment to act on the content.</summary>
    void Written()
    {
    }

    /// <summary>A platform reset: guest-written content goes back to its start.</summary>
    void Reset()
    {
    }
}
