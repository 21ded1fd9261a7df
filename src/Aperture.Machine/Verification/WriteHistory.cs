using Aperture.Pci;
using Aperture.Pci.Registers;

namespace Aperture.Machine.Verification;

/// <summary>
/// The guest's latest write of each BAR and of each bridge's windows, so that a difference can say who made it. Bounded by the registers there are.
/// Used with the hierarchy's lock held.
/// </summary>
internal sealed class WriteHistory(TimeProvider clock, IEventSink events) : IConfigWriteSink
{
    // BARs, ROM and windows all lie in the header; VF BARs in a capability.
    private const int HeaderEnd = PciRegisters.FirstCapability;
    private readonly Dictionary<(PciFunction Function, int Register), Write> _writes = [];

    /// <summary>When the guest last wrote any configuration register, as the clock's timestamp; 0 before the first.</summary>
    public long LastWrite { get; private set; }

    /// <inheritdoc/>
    public void Written(PciFunction function, ConfigChange change, int offset, int size, uint value)
    {
        LastWrite = clock.GetTimestamp();
        if (offset is >= PciRegisters.Bar0 and < HeaderEnd || (change & (ConfigChange.BarProgrammed | ConfigChange.PinnedBarWrite)) != 0)
        {
            _writes[(function, offset & ~3)] = new Write(offset, value, events.Elapsed);
        }
    }

    /// <summary>The operating system took the machine over: it is as if a register had been written now, so a boot ends some time after that.</summary>
    public void Touch() => LastWrite = clock.GetTimestamp();

    /// <summary>Forgets everything: the registers are as after power-on.</summary>
    public void Reset()
    {
        _writes.Clear();
        LastWrite = 0;
    }

    /// <summary>
    /// The latest write of any of <paramref name="words"/> registers from <paramref name="register"/>, as a clause; null when there was none.
    /// </summary>
    public string? Describe(PciFunction function, int register, int words)
    {
        Write? latest = null;
        for (int i = 0; i < words; i++)
        {
            if (_writes.TryGetValue((function, register + (4 * i)), out Write? write) && (latest is null || write.At > latest.At))
            {
                latest = write;
            }
        }

        return latest is null ? null : string.Create(
            System.Globalization.CultureInfo.InvariantCulture,
            $"the guest wrote 0x{latest.Value:x} to register 0x{latest.Offset:x2} at {latest.At.TotalSeconds:0.000} s");
    }

    private sealed record Write(int Offset, uint Value, TimeSpan At);
}
