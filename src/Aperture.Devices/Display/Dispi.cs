using Aperture.Memory;

namespace Aperture.Devices.Display;

/// <summary>The high-resolution mode that the Bochs registers describe (Bochs, VBE display API).</summary>
/// <param name="Enabled">True while it replaces the VGA modes.</param>
/// <param name="Width">Pixels in a visible line.</param>
/// <param name="Height">Visible lines.</param>
/// <param name="Depth">Bits a pixel: 4, 8, 15, 16, 24 or 32.</param>
/// <param name="VirtualWidth">Pixels in a line of memory.</param>
/// <param name="X">First visible pixel of a line.</param>
/// <param name="Y">First visible line.</param>
/// <param name="Bank">Which 64 KiB the legacy window shows.</param>
internal readonly record struct DispiMode(bool Enabled, ushort Width, ushort Height, ushort Depth, ushort VirtualWidth, ushort X, ushort Y, ushort Bank)
{
    /// <summary>True while the legacy window shows a bank of linear memory.</summary>
    public bool IsLinear => Enabled && Depth != 4;

    /// <summary>Bytes of a line of memory; in 4-bit modes, of one plane.</summary>
    public int Stride => Depth == 4 ? VirtualWidth / 8 : VirtualWidth * BytesPerPixel;

    /// <summary>Bytes of a pixel; 1 in 4-bit modes.</summary>
    public int BytesPerPixel => (Depth + 7) / 8;
}

/// <summary>The Bochs display registers: 16 bits each, by index (Bochs, VBE display API; id 0xB0C5).</summary>
internal sealed class Dispi(VgaState state, RamBlock memory)
{
    /// <summary>How many registers there are.</summary>
    public const int Count = 0xB;

    private const int IdRegister = 0;
    private const int WidthRegister = 1;
    private const int HeightRegister = 2;
    private const int DepthRegister = 3;
    private const int EnableRegister = 4;
    private const int BankRegister = 5;
    private const int VirtualWidthRegister = 6;
    private const int VirtualHeightRegister = 7;
    private const int XRegister = 8;
    private const int YRegister = 9;
    private const int MemoryRegister = 0xA;

    private const ushort FirstId = 0xB0C0;
    private const ushort LastId = 0xB0C5;
    private const ushort MostPixels = 16000;
    private const ushort MostLines = 12000;
    private const ushort MostDepth = 32;
    private const ushort EnableBit = 0x01;
    private const ushort CapabilitiesBit = 0x02;
    private const ushort EightBitDacBit = 0x20;
    private const ushort KeepMemoryBit = 0x80;

    private readonly ushort[] _registers = new ushort[Count];

    /// <summary>Power-on values. Under the state's gate.</summary>
    public void Reset()
    {
        Array.Clear(_registers);
        _registers[IdRegister] = LastId;
    }

    /// <summary>Reads register <paramref name="index"/>; one that does not exist reads as 0.</summary>
    public ushort Read(int index)
    {
        lock (state.Gate)
        {
            bool capabilities = (_registers[EnableRegister] & CapabilitiesBit) != 0;
            return index switch
            {
                WidthRegister when capabilities => MostPixels,
                HeightRegister when capabilities => MostLines,
                DepthRegister when capabilities => MostDepth,
                VirtualHeightRegister => VirtualHeight(),
                MemoryRegister => (ushort)(memory.Size >> 16),
                >= 0 and < Count => _registers[index],
                _ => 0,
            };
        }
    }

    /// <summary>Writes register <paramref name="index"/>.</summary>
    public void Write(int index, ushort value)
    {
        lock (state.Gate)
        {
            switch (index)
            {
                case IdRegister when value is >= FirstId and <= LastId:
                    _registers[index] = value;
                    break;
                case WidthRegister when value <= MostPixels:
                case HeightRegister when value <= MostLines:
                    _ = Resize(index, value);
                    break;
                case DepthRegister when value is 0 or 4 or 8 or 15 or 16 or 24 or 32:
                    _ = Resize(index, value == 0 ? (ushort)8 : value);
                    break;
                case BankRegister or XRegister or YRegister:
                    _registers[index] = value;
                    Publish();
                    break;
                case VirtualWidthRegister when value >= _registers[WidthRegister] && value <= MostPixels:
                    if (Resize(index, value))
                    {
                        Publish();
                    }

                    break;
                case EnableRegister:
                    Enable(value);
                    break;
                default:
                    break;
            }
        }
    }

    // A mode that is on never shows more than there is memory for: what would make it so is not taken, as the mode would not have been enabled.
    private bool Resize(int index, ushort value)
    {
        ushort before = _registers[index];
        _registers[index] = value;
        if (IsEnabled && !Fits())
        {
            _registers[index] = before;
            return false;
        }

        return true;
    }

    private void Enable(ushort value)
    {
        bool wasEnabled = IsEnabled;
        bool enable = (value & EnableBit) != 0;
        if (enable && !wasEnabled)
        {
            _registers[VirtualWidthRegister] = _registers[WidthRegister];
            (_registers[XRegister], _registers[YRegister], _registers[BankRegister]) = (0, 0, 0);
            if (!Fits())
            {
                value &= unchecked((ushort)~EnableBit);
            }
            else if ((value & KeepMemoryBit) == 0)
            {
                memory.AsSpan(0, (int)VisibleBytes()).Clear();
            }
        }

        _registers[EnableRegister] = value;
        SetDacWidth((value & EightBitDacBit) != 0);
        Publish();
    }

    // Entries keep their colour when their width changes.
    private void SetDacWidth(bool eightBits)
    {
        if (eightBits == state.Is8BitDac)
        {
            return;
        }

        state.Is8BitDac = eightBits;
        for (int i = 0; i < state.Dac.Length; i++)
        {
            state.Dac[i] = (byte)(eightBits ? state.Dac[i] << 2 : state.Dac[i] >> 2);
        }
    }

    private bool IsEnabled => (_registers[EnableRegister] & EnableBit) != 0;

    private bool Fits() => _registers[WidthRegister] != 0 && _registers[HeightRegister] != 0 && _registers[DepthRegister] != 0 && VisibleBytes() <= memory.Size;

    // A 4-bit mode takes all four planes.
    private ulong VisibleBytes() => LineBytes(Math.Max(_registers[WidthRegister], _registers[VirtualWidthRegister])) * _registers[HeightRegister];

    private ulong LineBytes(ushort pixels) => _registers[DepthRegister] == 4 ? pixels / 8UL * 4 : pixels * (ulong)((_registers[DepthRegister] + 7) / 8);

    private ushort VirtualHeight()
    {
        ulong line = LineBytes(_registers[VirtualWidthRegister]);
        return line == 0 ? (ushort)0 : (ushort)Math.Min(memory.Size / line, ushort.MaxValue);
    }

    private void Publish() => state.Dispi = new DispiMode(
        IsEnabled,
        _registers[WidthRegister],
        _registers[HeightRegister],
        _registers[DepthRegister],
        _registers[VirtualWidthRegister],
        _registers[XRegister],
        _registers[YRegister],
        _registers[BankRegister]);
}

/// <summary>
/// The index port 0x1CE and the data port 0x1CF, 16 bits each. The data port is odd, so that its words may arrive as two bytes: the lower one waits for the
/// upper one, at 0x1D0, which carries the write out. Firmware that may not access odd ports finds the data as an aligned word at 0x1D0 (edk2,
/// QemuVideoDxe).
/// </summary>
internal sealed class DispiPorts(Dispi dispi) : IAccessHandler
{
    /// <summary>The index port.</summary>
    public const ushort First = 0x1CE;

    /// <summary>Ports taken.</summary>
    public const ushort Length = 4;

    // Written by whoever writes the ports; two vCPUs at once mix their halves, as they would on a bus.
    private int _index;
    private int _low;

    /// <summary>Forgets the index.</summary>
    public void Reset()
    {
        Volatile.Write(ref _index, 0);
        Volatile.Write(ref _low, 0);
    }

    /// <inheritdoc/>
    public AccessResult Read(ulong offset, int size, out ulong value)
    {
        value = ulong.MaxValue;
        if (!AccessLanes.Starts(offset, size, Length))
        {
            return AccessResult.Unclaimed;
        }

        int index = Volatile.Read(ref _index);
        value = offset switch
        {
            0 => (ulong)index,
            1 => dispi.Read(index),
            2 when size > 1 => dispi.Read(index),
            _ => (ulong)dispi.Read(index) >> 8,
        };
        value &= AccessWidth.AllOnes(size);
        return AccessResult.Ok;
    }

    /// <inheritdoc/>
    public AccessResult Write(ulong offset, int size, ulong value)
    {
        if (!AccessLanes.Starts(offset, size, Length))
        {
            return AccessResult.Unclaimed;
        }

        ushort word = (ushort)(value & AccessWidth.AllOnes(size));
        switch (offset)
        {
            case 0:
                Volatile.Write(ref _index, word);
                break;
            case 1 when size == 1:
                Volatile.Write(ref _low, word);
                break;
            case 1:
            case 2 when size > 1:
                dispi.Write(Volatile.Read(ref _index), word);
                break;
            case 2:
                dispi.Write(Volatile.Read(ref _index), (ushort)(Volatile.Read(ref _low) | (word & 0xFF) << 8));
                break;
            default:
                break;
        }

        return AccessResult.Ok;
    }
}
