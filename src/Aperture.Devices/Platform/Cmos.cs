namespace Aperture.Devices;

/// <summary>How much RAM the CMOS memory-size bytes report.</summary>
/// <param name="Below4G">Bytes of RAM from address 0 to the low hole.</param>
/// <param name="Above4G">Bytes of RAM from 4 GiB up.</param>
public readonly record struct CmosMemorySize(ulong Below4G, ulong Above4G);

/// <summary>MC146818 real-time clock and CMOS RAM.</summary>
public sealed class Cmos : IAccessHandler, IResettable, IDisposable
{
    /// <summary>The index port; the data port follows.</summary>
    public const ushort Port = 0x70;

    /// <summary>Ports taken.</summary>
    public const ushort Length = 2;

    private readonly IInterruptLine _interrupt;

    /// <summary>Makes the clock.</summary>
    public Cmos(TimeProvider clock, IInterruptLine interrupt, CmosMemorySize memory) => (_, _interrupt, _) = (clock, interrupt, memory);

    /// <inheritdoc/>
    public AccessResult Read(ulong offset, int size, out ulong value)
    {
        value = ulong.MaxValue;
        return AccessResult.Unclaimed;
    }

    /// <inheritdoc/>
    public AccessResult Write(ulong offset, int size, ulong value) => AccessResult.Unclaimed;

    /// <inheritdoc/>
    public void Reset() => _interrupt.Set(false);

    /// <summary>Stops the clock's timer.</summary>
    public void Dispose()
    {
    }
}
