namespace Aperture.Devices.Pc;

/// <summary>
/// A port that swallows writes and reads back the last one: POST codes at 0x80 and the delay port 0xED, which guests write only to
/// pass time and which must not be counted as unclaimed.
/// </summary>
public sealed class DummyPort : IAccessHandler, IByteRegisters
{
    /// <summary>The POST code port, also the usual I/O delay.</summary>
    public const ushort PostPort = 0x80;

    /// <summary>The alternative I/O delay port.</summary>
    public const ushort DelayPort = 0xED;

    /// <summary>Ports taken.</summary>
    public const ushort Length = 1;

    private int _last;

    /// <summary>The byte written last; the POST code of a guest that hangs.</summary>
    public byte Last => (byte)Volatile.Read(ref _last);

    /// <inheritdoc/>
    public AccessResult Read(ulong offset, int size, out ulong value) => AccessLanes.ReadBytes(this, Length, offset, size, out value);

    /// <inheritdoc/>
    public AccessResult Write(ulong offset, int size, ulong value) => AccessLanes.WriteBytes(this, Length, offset, size, value);

    byte IByteRegisters.ReadByte(uint offset) => Last;

    void IByteRegisters.WriteByte(uint offset, byte value) => Volatile.Write(ref _last, value);
}
