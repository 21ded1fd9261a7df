namespace Aperture.Devices.Pc;

/// <summary>
/// System control port A, one port at 0x92: bit 1 is the A20 gate (kept, without effect: A20 is always open), bit 0 rising resets
/// the machine (ICH9 datasheet, PORT92: INIT_NOW and ALT_A20_GATE).
/// </summary>
/// <param name="control">What a fast reset is asked of.</param>
public sealed class Port92(IMachineControl control) : IAccessHandler, IByteRegisters, IResettable
{
    /// <summary>The port.</summary>
    public const ushort Port = 0x92;

    /// <summary>Ports taken.</summary>
    public const ushort Length = 1;

    private const int InitNow = 1;
    private const int A20 = 2;

    private int _value = A20;

    /// <inheritdoc/>
    public AccessResult Read(ulong offset, int size, out ulong value) => AccessLanes.ReadBytes(this, Length, offset, size, out value);

    /// <inheritdoc/>
    public AccessResult Write(ulong offset, int size, ulong value) => AccessLanes.WriteBytes(this, Length, offset, size, value);

    /// <inheritdoc/>
    public void Reset() => Volatile.Write(ref _value, A20);

    byte IByteRegisters.ReadByte(uint offset) => (byte)Volatile.Read(ref _value);

    void IByteRegisters.WriteByte(uint offset, byte value)
    {
        int before = Interlocked.Exchange(ref _value, value & (InitNow | A20));
        if ((value & ~before & InitNow) != 0)
        {
            control.Request(MachineRequest.Reset, 0, "fast reset through port 0x92");
        }
    }
}
