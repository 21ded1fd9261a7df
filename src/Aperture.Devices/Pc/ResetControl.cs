namespace Aperture.Devices.Pc;

/// <summary>
/// The reset control register, one port at 0xCF9 (ICH9 datasheet, RST_CNT): bit 1 picks a hard over a soft reset, bit 3 a power cycle, and bit 2 going from
/// 0 to 1 carries it out. All of them reset the machine here. The port lies inside the dword at 0xCF8: a 4-byte access there is the
/// configuration address and must not be routed to this device.
/// </summary>
/// <param name="control">What the reset is asked of.</param>
public sealed class ResetControl(IMachineControl control) : IAccessHandler, IByteRegisters, IResettable
{
    /// <summary>The port.</summary>
    public const ushort Port = 0xCF9;

    /// <summary>Ports taken.</summary>
    public const ushort Length = 1;

    private const int Go = 1 << 2;
    private const int Kept = 1 << 1 | 1 << 3;

    private int _value;

    /// <inheritdoc/>
    public AccessResult Read(ulong offset, int size, out ulong value) => AccessLanes.ReadBytes(this, Length, offset, size, out value);

    /// <inheritdoc/>
    public AccessResult Write(ulong offset, int size, ulong value) => AccessLanes.WriteBytes(this, Length, offset, size, value);

    /// <inheritdoc/>
    public void Reset() => Volatile.Write(ref _value, 0);

    // The go bit reads as zero, but an edge needs its last written value.
    byte IByteRegisters.ReadByte(uint offset) => (byte)(Volatile.Read(ref _value) & Kept);

    void IByteRegisters.WriteByte(uint offset, byte value)
    {
        int before = Interlocked.Exchange(ref _value, value & (Kept | Go));
        if ((value & ~before & Go) != 0)
        {
            control.Request(MachineRequest.Reset, 0, "reset through port 0xcf9");
        }
    }
}
