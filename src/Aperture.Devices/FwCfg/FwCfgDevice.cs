using System.Buffers.Binary;
using Aperture.Firmware.FwCfg;

namespace Aperture.Devices.FwCfg;

/// <summary>
/// The firmware configuration device of QEMU's x86 machines (QEMU docs/specs/fw_cfg.rst), by which SeaBIOS, OVMF and Linux are told about
/// their machine: a 16-bit selector at port 0x510, a byte of the selected item at 0x511, and a DMA request register at 0x514 to 0x51B.
/// </summary>
/// <remarks>
/// An item reads as zeros past its end. A DMA read fills at most <see cref="MostPadding"/> of them; one that asks for more gets the error bit, so that
/// no request costs more than its item's length. A write that does not fit its item, or goes to an item that is not writable, changes nothing.
/// </remarks>
public sealed class FwCfgDevice : IAccessHandler, IResettable
{
    /// <summary>The selector port.</summary>
    public const ushort Port = 0x510;

    /// <summary>Ports taken; 0x512 and 0x513 answer nothing.</summary>
    public const ushort Length = 12;

    /// <summary>The most zeros that one DMA read writes behind the end of an item.</summary>
    public const uint MostPadding = 1 << 20;

    private const uint TraditionalInterface = 1;
    private const uint DmaInterface = 2;
    private const int DataPort = 1;
    private const int DmaRegister = 4;
    private const int PieceSize = 4096;
    private const int DescriptorSize = 16;

    // "QEMU CFG", as the big-endian register reads.
    private const ulong DmaSignature = 0x5145_4D55_2043_4647;

    private readonly Lock _gate = new();
    private readonly IDma _dma;
    private readonly Dictionary<ushort, IFirmwareItem> _items;
    private readonly byte[] _piece = new byte[PieceSize];

    private IFirmwareItem? _selected;
    private ulong _offset;
    private uint _dmaHigh;

    /// <summary>Makes the device.</summary>
    /// <param name="items">What it offers; later changes to the collection do not show.</param>
    /// <param name="dma">Guest memory, as this device reaches it.</param>
    public FwCfgDevice(FwCfgItems items, IDma dma)
    {
        ArgumentNullException.ThrowIfNull(items);
        ArgumentNullException.ThrowIfNull(dma);
        _dma = dma;
        _items = items.Resolve(TraditionalInterface | DmaInterface);
        _selected = _items[FwCfgKey.Signature];
    }

    /// <inheritdoc/>
    public AccessResult Read(ulong offset, int size, out ulong value)
    {
        if (offset == DataPort && size == 1)
        {
            value = ReadData(size);
            return AccessResult.Ok;
        }

        if (InDmaRegister(offset, size))
        {
            value = ReadSignature((int)offset - DmaRegister, size);
            return AccessResult.Ok;
        }

        value = AccessWidth.AllOnes(size);
        return AccessResult.Unclaimed;
    }

    /// <inheritdoc/>
    public AccessResult Write(ulong offset, int size, ulong value)
    {
        switch (offset, size)
        {
            case (0, 2):
                SelectKey((ushort)value);
                return AccessResult.Ok;

            // Writes to the data port went out of use; they change nothing (fw_cfg.rst, "Selector Register", note).
            case (DataPort, 1):
                return AccessResult.Ok;
            default:
                return offset >= DmaRegister && WriteDma(offset - DmaRegister, size, value) ? AccessResult.Ok : AccessResult.Unclaimed;
        }
    }

    /// <summary>The next bytes of the item, the first one lowest.</summary>
    internal ulong ReadData(int size)
    {
        lock (_gate)
        {
            ulong value = 0;
            for (int i = 0; i < size; i++)
            {
                value |= (ulong)NextByte() << (8 * i);
            }

            return value;
        }
    }

    /// <summary>What the DMA register reads as: its bytes are the same wherever it is.</summary>
    internal static ulong ReadSignature(int at, int size) => Reverse(DmaSignature >> (8 * (8 - at - size)), size);

    /// <summary>Selects an item.</summary>
    internal void SelectKey(ushort key)
    {
        lock (_gate)
        {
            Select(key);
        }
    }

    /// <summary>A write at byte <paramref name="at"/> of the DMA register, which is big-endian; false when it is none that the register takes.</summary>
    internal bool WriteDma(ulong at, int size, ulong value)
    {
        lock (_gate)
        {
            switch (at, size)
            {
                case (0, 4):
                    _dmaHigh = BinaryPrimitives.ReverseEndianness((uint)value);
                    return true;
                case (4, 4):
                    ulong address = ((ulong)_dmaHigh << 32) | BinaryPrimitives.ReverseEndianness((uint)value);
                    _dmaHigh = 0;
                    RunDma(address);
                    return true;
                case (0, 8):
                    _dmaHigh = 0;
                    RunDma(BinaryPrimitives.ReverseEndianness(value));
                    return true;
                default:
                    return false;
            }
        }
    }

    /// <inheritdoc/>
    public void Reset()
    {
        lock (_gate)
        {
            foreach (IFirmwareItem item in _items.Values)
            {
                item.Reset();
            }

            _dmaHigh = 0;
            _offset = 0;
            _selected = _items[FwCfgKey.Signature];
        }
    }

    private static bool InDmaRegister(ulong offset, int size) =>
        size is 1 or 2 or 4 or 8 && offset is >= DmaRegister and < Length && offset + (ulong)size <= Length;

    private static ulong Reverse(ulong value, int size) => BinaryPrimitives.ReverseEndianness(value) >> (8 * (8 - size));

    private void Select(ushort key)
    {
        // The write channel's bit is not part of the key.
        _selected = _items.GetValueOrDefault((ushort)(key & ~FwCfgKey.WriteChannel));
        _offset = 0;
        _selected?.Select();
    }

    private ulong Remaining => _selected is { } item && _offset < item.Length ? item.Length - _offset : 0;

    private byte NextByte()
    {
        Span<byte> one = _piece.AsSpan(0, 1);
        if (Remaining == 0 || !_selected!.Read(_offset, one))
        {
            return 0;
        }

        _offset++;
        return one[0];
    }

    private void RunDma(ulong address)
    {
        Span<byte> descriptor = stackalloc byte[DescriptorSize];
        if (!Reachable(address, DescriptorSize) || !_dma.Read(new GuestAddress(address), descriptor))
        {
            // There is nowhere to say so.
            return;
        }

        FwCfgDmaControl control = new(BinaryPrimitives.ReadUInt32BigEndian(descriptor));
        uint length = BinaryPrimitives.ReadUInt32BigEndian(descriptor[4..]);
        ulong target = BinaryPrimitives.ReadUInt64BigEndian(descriptor[8..]);
        if (control.IsSelect)
        {
            Select(control.Key);
        }

        bool done = true;
        if (control.IsRead)
        {
            done = ReadTo(target, length);
        }
        else if (control.IsWrite)
        {
            done = WriteFrom(target, length);
        }
        else if (control.IsSkip)
        {
            _offset += Math.Min(length, Remaining);
        }

        BinaryPrimitives.WriteUInt32BigEndian(descriptor, done ? 0 : FwCfgDmaControl.Error);
        _ = _dma.Write(new GuestAddress(address), descriptor[..4]);
    }

    private bool ReadTo(ulong target, uint length)
    {
        if (!Reachable(target, length))
        {
            return false;
        }

        ulong fromItem = Math.Min(length, Remaining);
        for (ulong done = 0; done < fromItem;)
        {
            Span<byte> piece = _piece.AsSpan(0, (int)Math.Min(fromItem - done, PieceSize));
            if (!_selected!.Read(_offset, piece) || !_dma.Write(new GuestAddress(target + done), piece))
            {
                return false;
            }

            done += (ulong)piece.Length;
            _offset += (ulong)piece.Length;
        }

        return FillZeros(target + fromItem, length - fromItem);
    }

    private bool FillZeros(ulong target, ulong length)
    {
        ulong most = Math.Min(length, MostPadding);
        Array.Clear(_piece);
        for (ulong done = 0; done < most;)
        {
            ReadOnlySpan<byte> piece = _piece.AsSpan(0, (int)Math.Min(most - done, PieceSize));
            if (!_dma.Write(new GuestAddress(target + done), piece))
            {
                return false;
            }

            done += (ulong)piece.Length;
        }

        return most == length;
    }

    private bool WriteFrom(ulong source, uint length)
    {
        if (_selected is not { IsWritable: true } item || length > Remaining || !Reachable(source, length))
        {
            return false;
        }

        for (ulong done = 0; done < length;)
        {
            Span<byte> piece = _piece.AsSpan(0, (int)Math.Min(length - done, PieceSize));
            if (!_dma.Read(new GuestAddress(source + done), piece) || !item.Write(_offset, piece))
            {
                return false;
            }

            done += (ulong)piece.Length;
            _offset += (ulong)piece.Length;
        }

        item.Written();
        return true;
    }

    private static bool Reachable(ulong address, uint length) => AddressRange.Fits(new GuestAddress(address), length);
}
