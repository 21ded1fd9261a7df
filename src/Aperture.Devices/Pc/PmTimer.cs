namespace Aperture.Devices.Pc;

/// <summary>The ACPI power management timer (ACPI 6.5, 4.8.2.1): counts up at 3.579545 MHz from the moment it was made.</summary>
/// <param name="clock">Its monotonic timestamp drives the counter.</param>
/// <param name="bits">24 or 32: how wide the counter is, as the FADT's TMR_VAL_EXT flag says.</param>
public sealed class PmTimer(TimeProvider clock, int bits)
{
    /// <summary>Ticks per second.</summary>
    public const uint Frequency = 3_579_545;

    private readonly long _start = clock.GetTimestamp();
    private readonly ulong _mask = (1UL << bits) - 1;

    /// <summary>The counter as the guest reads it.</summary>
    public uint Value => (uint)(Ticks & _mask);

    /// <summary>How often the counter's top bit has changed: each change sets the timer status.</summary>
    public ulong Carries => Ticks >> (bits - 1);

    /// <summary>How long until the top bit changes next; never zero.</summary>
    public TimeSpan UntilCarry
    {
        get
        {
            ulong half = 1UL << (bits - 1);
            ulong left = half - (Ticks & (half - 1));
            return TimeSpan.FromTicks((long)((left * TimeSpan.TicksPerSecond / Frequency) + 1));
        }
    }

    // Seconds and remainder apart, so that nothing overflows however long the machine runs.
    private ulong Ticks
    {
        get
        {
            ulong elapsed = (ulong)Math.Max(0, clock.GetTimestamp() - _start);
            ulong perSecond = (ulong)clock.TimestampFrequency;
            return (elapsed / perSecond * Frequency) + (elapsed % perSecond * Frequency / perSecond);
        }
    }
}
