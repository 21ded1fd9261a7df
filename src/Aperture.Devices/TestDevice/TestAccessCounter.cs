namespace Aperture.Devices.TestDevice;

/// <summary>Counts the accesses to a test device's trapped BARs.</summary>
internal sealed class TestAccessCounter
{
    private long _count;

    /// <summary>All of them.</summary>
    public long Total => Interlocked.Read(ref _count);

    /// <summary>The low 32 bits, as the guest reads them.</summary>
    public uint Low => (uint)Volatile.Read(ref _count);

    /// <summary>One more.</summary>
    public void Count() => Interlocked.Increment(ref _count);

    /// <summary>Back to zero.</summary>
    public void Reset() => Interlocked.Exchange(ref _count, 0);
}
