namespace Aperture.Devices.Display;

/// <summary>
/// The legacy ports 0x3B0-0x3DF (IBM VGA Technical Reference): sequencer, graphics and CRT controllers, attributes, palette. Index and data may be
/// written with one 16-bit access. The retrace bits change with every read, so that loops that wait for either edge end.
/// </summary>
internal sealed class VgaPorts : IAccessHandler, IByteRegisters
{
    /// <summary>The first port.</summary>
    public const ushort First = 0x3B0;

    /// <summary>Ports taken.</summary>
    public const ushort Length = 0x30;

    private const byte Retrace = 0x09;

    private readonly VgaState _state;

    // Guarded by the state's gate, like the state.
    private byte _sequencerIndex;
    private byte _graphicsIndex;
    private byte _crtcIndex;
    private byte _attributeIndex;
    private bool _attributeData;
    private byte _feature;
    private byte _retrace;
    private int _dacWrite;
    private int _dacRead;
    private bool _dacReading;

    /// <summary>Makes the ports over <paramref name="state"/>.</summary>
    public VgaPorts(VgaState state) => _state = state;

    /// <summary>Forgets every index. Under the state's gate.</summary>
    public void Reset()
    {
        (_sequencerIndex, _graphicsIndex, _crtcIndex, _attributeIndex, _feature, _retrace) = (0, 0, 0, 0, 0, 0);
        (_attributeData, _dacReading, _dacWrite, _dacRead) = (false, false, 0, 0);
    }

    /// <inheritdoc/>
    public AccessResult Read(ulong offset, int size, out ulong value) => AccessLanes.ReadBytes(this, Length, offset, size, out value);

    /// <inheritdoc/>
    public AccessResult Write(ulong offset, int size, ulong value) => AccessLanes.WriteBytes(this, Length, offset, size, value);

    byte IByteRegisters.ReadByte(uint offset)
    {
        lock (_state.Gate)
        {
            return Read((int)offset + First);
        }
    }

    void IByteRegisters.WriteByte(uint offset, byte value)
    {
        lock (_state.Gate)
        {
            Write((int)offset + First, value);
        }
    }

    // 0x3B4, 0x3B5 and 0x3BA answer a monochrome adapter, their twins at 0x3Dx a colour one (miscellaneous output, bit 0).
    private bool IsOtherColor(int port) => (port is 0x3B4 or 0x3B5 or 0x3BA && _state.IsColor) || (port is 0x3D4 or 0x3D5 or 0x3DA && !_state.IsColor);

    private byte Read(int port)
    {
        if (IsOtherColor(port))
        {
            return 0xFF;
        }

        switch (port)
        {
            case 0x3C0:
                return (byte)(_attributeIndex | (_state.PaletteOn ? 0x20 : 0));
            case 0x3C1:
                return At(_state.Attribute, _attributeIndex);
            case 0x3C2:
                return 0x10; // a monitor is connected: the switch sense that mode detection looks for
            case 0x3C4:
                return _sequencerIndex;
            case 0x3C5:
                return At(_state.Sequencer, _sequencerIndex);
            case 0x3C6:
                return _state.DacMask;
            case 0x3C7:
                return (byte)(_dacReading ? 3 : 0);
            case 0x3C8:
                return (byte)(_dacWrite / 3);
            case 0x3C9:
                byte color = _state.Dac[_dacRead];
                _dacRead = (_dacRead + 1) % VgaState.DacBytes;
                return color;
            case 0x3CA:
                return _feature;
            case 0x3CC:
                return _state.Misc;
            case 0x3CE:
                return _graphicsIndex;
            case 0x3CF:
                return At(_state.Graphics, _graphicsIndex);
            case 0x3B4 or 0x3D4:
                return _crtcIndex;
            case 0x3B5 or 0x3D5:
                return At(_state.Crtc, _crtcIndex);
            case 0x3BA or 0x3DA:
                _attributeData = false;
                _retrace ^= Retrace;
                return _retrace;
            default:
                return 0xFF;
        }
    }

    private void Write(int port, byte value)
    {
        if (IsOtherColor(port))
        {
            return;
        }

        switch (port)
        {
            case 0x3C0:
                WriteAttribute(value);
                break;
            case 0x3C2:
                _state.Misc = value;
                break;
            case 0x3C4:
                _sequencerIndex = (byte)(value & 7);
                break;
            case 0x3C5:
                Store(_state.Sequencer, _sequencerIndex, value);
                break;
            case 0x3C6:
                _state.DacMask = value;
                break;
            case 0x3C7:
                (_dacRead, _dacReading) = (value * 3, true);
                break;
            case 0x3C8:
                (_dacWrite, _dacReading) = (value * 3, false);
                break;
            case 0x3C9:
                _state.Dac[_dacWrite] = _state.Is8BitDac ? value : (byte)(value & 0x3F);
                _dacWrite = (_dacWrite + 1) % VgaState.DacBytes;
                break;
            case 0x3CE:
                _graphicsIndex = (byte)(value & 0x0F);
                break;
            case 0x3CF:
                Store(_state.Graphics, _graphicsIndex, value);
                break;
            case 0x3B4 or 0x3D4:
                _crtcIndex = value;
                break;
            case 0x3B5 or 0x3D5:
                WriteCrtc(value);
                break;
            case 0x3BA or 0x3DA:
                _feature = value;
                break;
            default:
                break;
        }
    }

    private static byte At(byte[] registers, int index) => index < registers.Length ? registers[index] : (byte)0;

    private static void Store(byte[] registers, int index, byte value)
    {
        if (index < registers.Length)
        {
            registers[index] = value;
        }
    }

    // Index and data take turns at one port; reading input status 1 starts with the index again.
    private void WriteAttribute(byte value)
    {
        if (_attributeData)
        {
            Store(_state.Attribute, _attributeIndex, value);
        }
        else
        {
            _attributeIndex = (byte)(value & 0x1F);
            _state.PaletteOn = (value & 0x20) != 0;
        }

        _attributeData = !_attributeData;
    }

    // Bit 7 of the vertical retrace end register protects 0 to 7, but for the line compare bit in the overflow register.
    private void WriteCrtc(byte value)
    {
        const byte Protect = 0x80;
        const byte LineCompare = 0x10;
        if (_crtcIndex <= VgaIndex.CrtcOverflow && (_state.Crtc[VgaIndex.CrtcVerticalRetraceEnd] & Protect) != 0)
        {
            if (_crtcIndex == VgaIndex.CrtcOverflow)
            {
                ref byte overflow = ref _state.Crtc[VgaIndex.CrtcOverflow];
                overflow = (byte)((overflow & ~LineCompare) | (value & LineCompare));
            }

            return;
        }

        Store(_state.Crtc, _crtcIndex, value);
    }
}
