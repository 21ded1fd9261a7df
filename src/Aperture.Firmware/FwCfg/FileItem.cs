using Aperture.Firmware.Boot;

namespace Aperture.Firmware.FwCfg;

/// <summary>A part of a host file, read when the guest reads it. The file stays its opener's.</summary>
internal sealed class FileItem(BootFile file, ulong start, ulong length) : IFirmwareItem
{
    public FileItem(BootFile file)
        : this(file, 0, file.Length)
    {
    }

    public ulong Length => length;

    public bool Read(ulong offset, Span<byte> destination)
    {
        try
        {
            file.Read(start + offset, destination);
            return true;
        }
        catch (Exception fault) when (fault is ApertureException or ObjectDisposedException)
        {
            // The file was cut short or went away under the guest: its read fails, not the machine.
            return false;
        }
    }
}
