namespace Aperture.Kvm;

/// <summary>
/// Tells when a vCPU gets no further: one instruction that touches memory which the host cannot provide, run again and again. A vCPU that went on in between
/// comes back later than one that did not.
/// </summary>
internal struct FaultPatience
{
    /// <summary>How long one instruction may try, in milliseconds.</summary>
    public const long Most = 5000;

    /// <summary>Faults that far apart, in milliseconds, are not one instruction's.</summary>
    public const long Apart = 1000;

    private ulong _instruction;
    private long _since;
    private long _last;

    /// <summary>Notes a fault at a time in milliseconds; true when the instruction has tried for too long.</summary>
    public bool IsOver(ulong instruction, long now)
    {
        if (instruction != _instruction || now - _last > Apart || _since == 0)
        {
            (_instruction, _since) = (instruction, now);
        }

        _last = now;
        return now - _since > Most;
    }
}
