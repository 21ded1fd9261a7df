namespace Aperture.Devices.Display;

/// <summary>
/// BAR 2 of the standard VGA: the ports 0x3C0-0x3DF at 0x400, the Bochs registers as 16-bit words at 0x500, and at 0x600 the extension block: its
/// size, then the framebuffer's byte order, which is little-endian here and stays so. The first 128 bytes, where an EDID would be, read as zero: there is none.
/// </summary>
internal sealed class VgaRegisterBar(VgaPorts ports, Dispi dispi) : IAccessHandler
{
    private const ulong PortsAt = 0x400;
    private const ulong FirstMirrored = 0x3C0;
    private const ulong PortsLength = 0x20;
    private const ulong DispiAt = 0x500;
    private const ulong DispiLength = 2 * Dispi.Count;
    private const ulong ExtensionAt = 0x600;
    private const ulong ExtensionLength = 8;
    private const ulong LittleEndian = 0x1E1E_1E1E;

    /// <inheritdoc/>
    public AccessResult Read(ulong offset, int size, out ulong value)
    {
        value = ulong.MaxValue;
        if (!AccessLanes.Starts(offset, size, StandardVga.RegisterSize))
        {
            return AccessResult.Unclaimed;
        }

        if (offset - PortsAt < PortsLength)
        {
            return ports.Read(offset - PortsAt + FirstMirrored - VgaPorts.First, size, out value);
        }

        if (offset - DispiAt < DispiLength)
        {
            ulong at = offset - DispiAt;
            value = (ulong)dispi.Read((int)(at >> 1)) >> (int)(8 * (at & 1));
        }
        else if (offset - ExtensionAt < ExtensionLength)
        {
            value = (ExtensionLength | LittleEndian << 32) >> (int)(8 * (offset - ExtensionAt));
        }
        else
        {
            value = 0;
        }

        value &= AccessWidth.AllOnes(size);
        return AccessResult.Ok;
    }

    /// <inheritdoc/>
    public AccessResult Write(ulong offset, int size, ulong value)
    {
        if (!AccessLanes.Starts(offset, size, StandardVga.RegisterSize))
        {
            return AccessResult.Unclaimed;
        }

        if (offset - PortsAt < PortsLength)
        {
            return ports.Write(offset - PortsAt + FirstMirrored - VgaPorts.First, size, value);
        }

        if (offset - DispiAt < DispiLength && (offset & 1) == 0 && size >= 2)
        {
            dispi.Write((int)((offset - DispiAt) >> 1), (ushort)value);
        }

        return AccessResult.Ok;
    }
}
