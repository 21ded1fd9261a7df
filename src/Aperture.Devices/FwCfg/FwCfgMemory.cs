using System.Buffers.Binary;

namespace Aperture.Devices.FwCfg;

/// <summary>
/// The registers of a <see cref="FwCfgDevice"/> in memory, as boards without ports have them (QEMU docs/specs/fw_cfg.rst, "Register Locations", Arm): data at
/// 0, up to eight bytes at a time; the selector at 8 and the DMA register at 16, both big-endian.
/// </summary>
/// <param name="device">The device, which has no ports then.</param>
public sealed class FwCfgMemory(FwCfgDevice device) : IAccessHandler
{
    /// <summary>Bytes taken.</summary>
    public const ulong Length = 24;

    private const ulong Selector = 8;
    private const ulong Dma = 16;

    /// <inheritdoc/>
    public AccessResult Read(ulong offset, int size, out ulong value)
    {
        if (size is 1 or 2 or 4 or 8)
        {
            if (offset == 0)
            {
                value = device.ReadData(size);
                return AccessResult.Ok;
            }

            if (offset is >= Dma and < Length && offset + (ulong)size <= Length)
            {
                value = FwCfgDevice.ReadSignature((int)(offset - Dma), size);
                return AccessResult.Ok;
            }
        }

        value = AccessWidth.AllOnes(size);
        return AccessResult.Unclaimed;
    }

    /// <inheritdoc/>
    public AccessResult Write(ulong offset, int size, ulong value)
    {
        switch (offset, size)
        {
            // Writes of data went out of use; they change nothing.
            case (0, 1 or 2 or 4 or 8):
                return AccessResult.Ok;
            case (Selector, 2):
                device.SelectKey(BinaryPrimitives.ReverseEndianness((ushort)value));
                return AccessResult.Ok;
            default:
                return offset >= Dma && device.WriteDma(offset - Dma, size, value) ? AccessResult.Ok : AccessResult.Unclaimed;
        }
    }
}
