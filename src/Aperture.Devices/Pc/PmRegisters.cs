namespace Aperture.Devices.Pc;

/// <summary>Offsets and bits of the ICH9 power management I/O block (ICH9 datasheet, 13.8.3; ACPI 6.5, 4.8.3).</summary>
internal static class PmRegisters
{
    public const uint Pm1Event = 0x00;
    public const uint Pm1Control = 0x04;
    public const uint Timer = 0x08;
    public const uint Gpe0Status = 0x20;
    public const uint Gpe0Enable = 0x28;
    public const uint SmiEnable = 0x30;
    public const uint SmiStatus = 0x34;
}

/// <summary>PM1 status and enable bits (ACPI 6.5, 4.8.3.1.1 and 4.8.3.1.2); both registers number them alike.</summary>
internal static class Pm1
{
    public const ushort TimerOverflow = 1 << 0;
    public const ushort Global = 1 << 5;
    public const ushort PowerButton = 1 << 8;
    public const ushort Rtc = 1 << 10;
    public const ushort PcieWakeDisable = 1 << 14;
    public const ushort Wake = 1 << 15;

    /// <summary>Status bits that a write of one clears.</summary>
    public const ushort Clearable = TimerOverflow | 1 << 4 | Global | PowerButton | Rtc | 1 << 11 | 1 << 14 | Wake;

    /// <summary>Enable bits that exist.</summary>
    public const ushort Enables = TimerOverflow | Global | PowerButton | Rtc | PcieWakeDisable;

    /// <summary>Bits whose status and enable together raise the SCI; the PCI Express bit is a wake control and does not.</summary>
    public const ushort Interrupting = TimerOverflow | Global | PowerButton | Rtc;
}

/// <summary>PM1 control register (ACPI 6.5, 4.8.3.2.1).</summary>
internal readonly record struct Pm1ControlWord(uint Value)
{
    public const uint SciEnable = 1;

    /// <summary>Bits that keep what is written: SCI_EN, BM_RLD and SLP_TYP. GBL_RLS and SLP_EN are write-only.</summary>
    public const uint Kept = SciEnable | 2 | 7u << 10;

    public int SleepType => (int)(Value >> 10 & 7);

    public bool SleepEnable => (Value & 1u << 13) != 0;
}
