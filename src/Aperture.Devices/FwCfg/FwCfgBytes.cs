using Aperture.Firmware.FwCfg;

namespace Aperture.Devices.FwCfg;

/// <summary>A read-only item of bytes in memory.</summary>
/// <param name="bytes">Its content.</param>
public sealed class FwCfgBytes(ReadOnlyMemory<byte> bytes) : IFirmwareItem
{
    /// <inheritdoc/>
    public ulong Length => (ulong)bytes.Length;

    /// <inheritdoc/>
    public bool Read(ulong offset, Span<byte> destination)
    {
        bytes.Span.Slice((int)offset, destination.Length).CopyTo(destination);
        return true;
    }
}
