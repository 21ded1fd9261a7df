using Aperture.Board;
using Aperture.Firmware.Boot;
using Aperture.Hypervisor;
using Aperture.Memory;

namespace Aperture.Machine.Boot;

/// <summary>
/// Starts a kernel without firmware. What goes where is decided once, without a machine; bringing a board and its RAM there can be repeated, for a reset.
/// </summary>
internal abstract class KernelStart
{
    /// <summary>Brings board and RAM to where the kernel starts; with the vCPUs stopped and the board reset.</summary>
    /// <returns>How the boot processor enters the kernel.</returns>
    /// <exception cref="ApertureException">A file became unreadable meanwhile.</exception>
    public abstract EntryState Prepare(PciBoard board, GuestRam ram);

    /// <summary>Writes <paramref name="segment"/> to RAM.</summary>
    protected static void Load(BootSegment segment, GuestRam ram)
    {
        ArgumentNullException.ThrowIfNull(segment);
        ArgumentNullException.ThrowIfNull(ram);
        const int Chunk = 1 << 20;
        for (ulong done = 0; done < segment.Length;)
        {
            int now = (int)Math.Min(Chunk, segment.Length - done);
            segment.Read(done, ram.AsSpan(segment.Address + done, now));
            done += (ulong)now;
        }

        // On a reset the RAM is not fresh, so the tail has to be cleared.
        for (ulong done = 0; done < segment.ZeroTail;)
        {
            int now = (int)Math.Min(Chunk, segment.ZeroTail - done);
            ram.AsSpan(segment.Address + segment.Length + done, now).Clear();
            done += (ulong)now;
        }
    }
}
