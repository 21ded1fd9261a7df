using System.Runtime.CompilerServices;

namespace Aperture.Devices.Pc;

/// <summary>
/// The ICH9's power management I/O block at PMBASE: PM1a event and control blocks, the PM timer, GPE0 and the SMI registers.
/// </summary>
/// <remarks>
/// <code>
/// 0x00  PM1_STS (16, W1C)   0x02  PM1_EN (16)
/// 0x04  PM1_CNT (32)        0x08  PM1_TMR (32, read-only)
/// 0x20  GPE0_STS (64, W1C)  0x28  GPE0_EN (64)
/// 0x30  SMI_EN (32)         0x34  SMI_STS (32, W1C)
/// </code>
/// The SCI is a level: asserted while SCI_EN is set and any status bit meets its enable bit. Everything else in the block reads as zero.
/// SMI_EN keeps what is written. Without system management mode it starts with APMC_EN on: firmware takes it that an SMI handler is installed already, and
/// installs none. With it, all of SMI_EN starts clear and <see cref="NoteApmSmi"/> says whether a command raises an SMI.
/// </remarks>
public sealed class AcpiPmBlock : IAccessHandler, IWordRegisters, IResettable, IDisposable
{
    /// <summary>Ports taken from PMBASE.</summary>
    public const ushort Length = 128;

    /// <summary>Offset of the GPE0 block: 8 ports of status, 8 of enable.</summary>
    public const ushort Gpe0Offset = (ushort)PmRegisters.Gpe0Status;

    /// <summary>Ports of the GPE0 block.</summary>
    public const ushort Gpe0Length = 16;

    /// <summary>SLP_TYP that means soft off on this chipset (ICH9 datasheet, PM1_CNT); the <c>\_S5</c> package must say the same.</summary>
    public const byte SoftOffSleepType = 7;

    private const byte SuspendToDisk = 6;

    // Soft off on PIIX4 (82371AB datasheet, PMCNTRL), and what firmware for virtual PCs writes on every board; on ICH9 it would mean to stay on.
    private const byte PiixSoftOff = 0;

    // SMI_EN's GBL_SMI_EN and APMC_EN (ICH9 datasheet, 13.8.3), and SMI_STS' APM_STS at the latter's place.
    private const uint GlobalSmiEnable = 1 << 0;
    private const uint ApmSmi = 1 << 5;

    private readonly Lock _gate = new();
    private readonly IInterruptLine _sci;
    private readonly IMachineControl _control;
    private readonly bool _alwaysAcpi;
    private readonly bool _raisesSmi;
    private readonly PmTimer _timer;
    private readonly ITimer _carryAlarm;

    private ushort _status;
    private ushort _enable;
    private uint _controlWord;
    private ulong _gpeStatus;
    private ulong _gpeEnable;
    private uint _smiEnable;
    private uint _smiStatus;
    private bool _globalSmiLocked;
    private ulong _carriesSeen;
    private bool _asserted;

    /// <summary>Makes the block in its reset state.</summary>
    /// <param name="clock">Drives the PM timer and its overflow interrupt.</param>
    /// <param name="sci">The system control interrupt, IRQ 9.</param>
    /// <param name="control">What power off is asked of.</param>
    /// <param name="alwaysAcpi">
    /// True for a guest that starts in ACPI mode (FADT SMI_CMD = 0): SCI_EN is set and stays so. False for firmware guests: SCI_EN
    /// starts clear and is set through <see cref="SetAcpiMode"/> or a write.
    /// </param>
    /// <param name="timerBits">Width of the PM timer, 32 or 24; the FADT's TMR_VAL_EXT flag must say the same.</param>
    /// <param name="raisesSmi">The machine has system management mode.</param>
    public AcpiPmBlock(
        TimeProvider clock, IInterruptLine sci, IMachineControl control, bool alwaysAcpi = true, int timerBits = 32, bool raisesSmi = false)
    {
        ArgumentNullException.ThrowIfNull(clock);
        if (timerBits is not (24 or 32))
        {
            throw new ArgumentOutOfRangeException(nameof(timerBits), timerBits, "the PM timer has 24 or 32 bits");
        }

        _sci = sci;
        _control = control;
        _alwaysAcpi = alwaysAcpi;
        _raisesSmi = raisesSmi;
        _timer = new PmTimer(clock, timerBits);
        _carryAlarm = clock.CreateTimer(static state => ((AcpiPmBlock)state!).OnCarry(), this, Timeout.InfiniteTimeSpan, Timeout.InfiniteTimeSpan);
        ResetState();
    }

    /// <inheritdoc/>
    public AccessResult Read(ulong offset, int size, out ulong value) => AccessLanes.ReadWords(this, Length, offset, size, out value);

    /// <inheritdoc/>
    public AccessResult Write(ulong offset, int size, ulong value) => AccessLanes.WriteWords(this, Length, offset, size, value);

    /// <summary>Sets the power button's status, as a press does; an ACPI guest answers by shutting down.</summary>
    public void PressPowerButton()
    {
        lock (_gate)
        {
            _status |= Pm1.PowerButton;
            Update();
        }
    }

    /// <summary>Sets the status of general purpose event <paramref name="number"/>, 0 to 63.</summary>
    /// <exception cref="ArgumentOutOfRangeException">There is no such event.</exception>
    public void RaiseGeneralEvent(int number)
    {
        ArgumentOutOfRangeException.ThrowIfGreaterThan((uint)number, 63u, nameof(number));
        lock (_gate)
        {
            _gpeStatus |= 1UL << number;
            Update();
        }
    }

    /// <summary>What the SMI handler does when ACPI mode is asked for through the command port: sets or clears SCI_EN.</summary>
    public void SetAcpiMode(bool enabled)
    {
        lock (_gate)
        {
            _controlWord = enabled || _alwaysAcpi ? _controlWord | Pm1ControlWord.SciEnable : _controlWord & ~Pm1ControlWord.SciEnable;
            Update();
        }
    }

    /// <summary>Until a reset the guest cannot change GBL_SMI_EN any more, as GEN_PMCON_1's SMI_LOCK asks for.</summary>
    public void LockGlobalSmi()
    {
        lock (_gate)
        {
            _globalSmiLocked = true;
        }
    }

    /// <summary>A command was written to the APM port: true when an SMI is due for it, which SMI_STS then shows.</summary>
    public bool NoteApmSmi()
    {
        const uint Enabled = GlobalSmiEnable | ApmSmi;
        lock (_gate)
        {
            if (!_raisesSmi || (_smiEnable & Enabled) != Enabled)
            {
                return false;
            }

            _smiStatus |= ApmSmi;
            return true;
        }
    }

    /// <inheritdoc/>
    public void Reset()
    {
        lock (_gate)
        {
            ResetState();
            Update();
            ArmCarry();
        }
    }

    /// <summary>Stops the overflow timer.</summary>
    public void Dispose() => _carryAlarm.Dispose();

    uint IWordRegisters.ReadWord(ulong offset, uint lanes)
    {
        // The timer is read in loops and needs no lock.
        if (offset == PmRegisters.Timer)
        {
            return _timer.Value;
        }

        lock (_gate)
        {
            NoteCarry();
            return offset switch
            {
                PmRegisters.Pm1Event => _status | (uint)_enable << 16,
                PmRegisters.Pm1Control => _controlWord,
                PmRegisters.Gpe0Status => (uint)_gpeStatus,
                PmRegisters.Gpe0Status + 4 => (uint)(_gpeStatus >> 32),
                PmRegisters.Gpe0Enable => (uint)_gpeEnable,
                PmRegisters.Gpe0Enable + 4 => (uint)(_gpeEnable >> 32),
                PmRegisters.SmiEnable => _smiEnable,
                PmRegisters.SmiStatus => _smiStatus,
                _ => 0,
            };
        }
    }

    void IWordRegisters.WriteWord(ulong offset, uint value, uint lanes)
    {
        bool powerOff = false;
        lock (_gate)
        {
            NoteCarry();
            switch (offset)
            {
                case PmRegisters.Pm1Event:
                    WriteEvent(value & lanes, lanes);
                    break;
                case PmRegisters.Pm1Control:
                    powerOff = WriteControl(value, lanes);
                    break;
                case PmRegisters.Gpe0Status:
                    _gpeStatus &= ~(ulong)(value & lanes);
                    break;
                case PmRegisters.Gpe0Status + 4:
                    _gpeStatus &= ~((ulong)(value & lanes) << 32);
                    break;
                case PmRegisters.Gpe0Enable:
                    _gpeEnable = Merge((uint)_gpeEnable, value, lanes) | _gpeEnable & 0xFFFFFFFF_00000000;
                    break;
                case PmRegisters.Gpe0Enable + 4:
                    _gpeEnable = (ulong)Merge((uint)(_gpeEnable >> 32), value, lanes) << 32 | (uint)_gpeEnable;
                    break;
                case PmRegisters.SmiEnable:
                    _smiEnable = Merge(_smiEnable, value, _globalSmiLocked ? lanes & ~GlobalSmiEnable : lanes);
                    break;
                case PmRegisters.SmiStatus:
                    _smiStatus &= ~(value & lanes);
                    break;
                default:
                    break;
            }

            Update();
        }

        if (powerOff)
        {
            _control.Request(MachineRequest.PowerOff, 0, "the guest entered ACPI S5");
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static uint Merge(uint old, uint value, uint lanes) => old & ~lanes | value & lanes;

    private void WriteEvent(uint value, uint lanes)
    {
        _status &= (ushort)~(value & Pm1.Clearable);
        ushort before = _enable;
        _enable = (ushort)(Merge(_enable, value >> 16, lanes >> 16) & Pm1.Enables);
        if (((before ^ _enable) & Pm1.TimerOverflow) != 0)
        {
            ArmCarry();
        }
    }

    // True when the write puts the machine to soft off.
    private bool WriteControl(uint value, uint lanes)
    {
        // GBL_RLS and SLP_EN act on the write itself, so they come from what was written, never from what was kept.
        Pm1ControlWord written = new(Merge(_controlWord, value, lanes));
        _controlWord = written.Value & Pm1ControlWord.Kept | (_alwaysAcpi ? Pm1ControlWord.SciEnable : 0);
        if (!written.SleepEnable)
        {
            return false;
        }

        if (written.SleepType is SoftOffSleepType or SuspendToDisk or PiixSoftOff)
        {
            return true;
        }

        // S1 and S3 are not offered: whoever asks anyway is woken at once instead of waiting for ever.
        _status |= Pm1.Wake;
        return false;
    }

    private void OnCarry()
    {
        lock (_gate)
        {
            NoteCarry();
            Update();
            ArmCarry();
        }
    }

    private void NoteCarry()
    {
        ulong carries = _timer.Carries;
        if (carries != _carriesSeen)
        {
            _carriesSeen = carries;
            _status |= Pm1.TimerOverflow;
        }
    }

    // The alarm runs only while the guest wants the interrupt.
    private void ArmCarry()
    {
        bool wanted = (_enable & Pm1.TimerOverflow) != 0;
        _carryAlarm.Change(wanted ? _timer.UntilCarry : Timeout.InfiniteTimeSpan, Timeout.InfiniteTimeSpan);
    }

    private void Update()
    {
        bool pending = (_status & _enable & Pm1.Interrupting) != 0 || (_gpeStatus & _gpeEnable) != 0;
        bool asserted = pending && (_controlWord & Pm1ControlWord.SciEnable) != 0;
        if (asserted != _asserted)
        {
            _asserted = asserted;
            _sci.Set(asserted);
        }
    }

    private void ResetState()
    {
        (_status, _enable, _gpeStatus, _gpeEnable) = (0, 0, 0, 0);
        (_smiEnable, _smiStatus, _globalSmiLocked) = (_raisesSmi ? 0 : ApmSmi, 0, false);
        _controlWord = _alwaysAcpi ? Pm1ControlWord.SciEnable : 0;
        _carriesSeen = _timer.Carries;
    }
}
