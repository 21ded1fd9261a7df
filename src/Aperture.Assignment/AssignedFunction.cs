using System.Buffers.Binary;
using Aperture.Hypervisor;
using Aperture.Memory;
using Aperture.Pci;
using Aperture.Pci.Capabilities;
using Aperture.Pci.Registers;

namespace Aperture.Assignment;

/// <summary>
/// A device of the host as the guest sees it: its identity, BARs and capabilities re-created as registers of our own, with what is safe forwarded to the
/// device. What the guest writes to BARs never reaches the device. The machine places <see cref="PartsOf"/> of each BAR while it decodes, gives INTx a
/// way with <see cref="IntxGsi"/>, and calls <see cref="PciHierarchy.ResetApplied"/> after a reset of its own.
/// </summary>
public sealed class AssignedFunction : PciFunction, IDisposable
{
    // What a driver turns on before it can use the function in any way.
    private const PciCommand InUse = PciCommand.IoSpace | PciCommand.MemorySpace | PciCommand.BusMaster;

    private readonly IVfioDevice _device;
    private readonly IAssignedEvents _events;
    private readonly PhysicalConfig _physical;
    private readonly ForwardedBytes _forwarded;
    private readonly BarContents _contents;
    private readonly DeviceWatch _watch;
    private readonly IntxDelivery _intx;
    private readonly AssignedInterrupts _interrupts;
    private readonly HostSignals _signals;
    private readonly LostDevice _lost;
    private readonly List<string> _notes = [];
    private readonly RamBlock? _rom;
    private readonly Region? _romRegion;
    private readonly int? _msiPending;

    // Held while the device is reset, changes its power state or is given back, which may take a second: taken before the hierarchy's lock, never with it.
    private readonly Lock _hardware = new();

    // With the hierarchy's lock.
    private bool _resetPending;
    private bool _isIdle = true;
    private int _disposed;

    /// <summary>Takes over <paramref name="device"/>, which it disposes in the end.</summary>
    /// <exception cref="ApertureException">
    /// The device does not answer or is a bridge, or the options ask for what it cannot have. The device is then still the caller's.
    /// </exception>
    public AssignedFunction(IVfioDevice device, AssignedOptions options, IGuestInterrupts guest, IAssignedEvents events)
        : this(device, options, guest, events, PhysicalConfig.Snapshot(device))
    {
    }

    private AssignedFunction(IVfioDevice device, AssignedOptions options, IGuestInterrupts guest, IAssignedEvents events, byte[] config)
        : base(options.Name, IdentityOf(device, config), config.Length)
    {
        _device = device;
        _events = events;
        _physical = new PhysicalConfig(device, PowerRegister(config)) { Gone = errno => events.DeviceGone(this, errno) };
        _watch = new DeviceWatch(options.Name, fault => events.ThreadFailed(this, fault)) { Timer = () => Sooner(_intx!.Tick(), _lost?.Tick() ?? -1) };
        try
        {
            _physical.Quiesce();
            AddHeader(config);
            BarLayout.AddTo(this, device, config, _notes);
            NoteOtherRegions();
            _rom = RomContents.Make(device, options, _physical, _notes);
            if (_rom is not null)
            {
                AddBar(BarKinds.RomIndex, BarKind.Rom, _rom.Size);
                _romRegion = Region.ForRom($"{Name} rom", _rom, 0, _rom.Size);
            }

            _forwarded = new CapabilityBuilder(this, device, options, config, _physical, _notes).Build();
            _forwarded.DeclareIn(Config);
            _msiPending = Find<MsiCapability>()?.PendingBitsRegister;
            if (_msiPending is { } pending)
            {
                Config.DefineReadEffect(pending, 4);
            }

            void InterruptsFailed(int index, int errno) => events.InterruptsFailed(this, index, errno);
            _intx = new IntxDelivery(device, guest, _watch, SetIntx, InterruptsFailed);
            _interrupts = new AssignedInterrupts(this, device, guest, _watch, _intx, InterruptsFailed);
            _contents = new BarContents(this, device, options, Trap, _notes);
            if (options.CorrectMirrors && ConfigMirrorQuirk.Fits(Identity))
            {
                _contents.Quirks.Add(new ConfigMirrorQuirk(Identity));
            }

            _signals = new HostSignals(this, device, _watch, events);
            _lost = new LostDevice(device, Recover, _watch);
        }
        catch
        {
            _rom?.Dispose();
            _watch.Dispose();
            throw;
        }
    }

    /// <summary>What of the device the guest does not get as it is, in sentences: hidden capabilities, BARs that trap, a ROM left out.</summary>
    public IReadOnlyList<string> Notes => _notes;

    /// <summary>True once the device stopped answering, until it is back.</summary>
    public bool IsGone => _physical.IsGone;

    /// <summary>
    /// The interrupt input that INTx raises in the hypervisor, set by the machine once the function is on its bus; null to use
    /// <see cref="PciFunction.IntxLine"/> through this process.
    /// </summary>
    public uint? IntxGsi
    {
        get => _interrupts.IntxGsi;
        set => _interrupts.IntxGsi = value;
    }

    /// <summary>The input of the 8259s that INTx reaches as well, where the guest routed it to one; set by the machine.</summary>
    public uint? IntxIsa
    {
        get => _interrupts.IntxIsa;
        set => _interrupts.IntxIsa = value;
    }

    /// <summary>How many enabled vectors are delivered through this process because the hypervisor cannot.</summary>
    public int RelayedInterrupts => _interrupts.Relayed;

    /// <summary>What answers in a BAR or the ROM. The pieces are the same each time.</summary>
    /// <exception cref="ArgumentException">The BAR belongs to another function.</exception>
    public IReadOnlyList<BarPart> PartsOf(Bar bar)
    {
        ArgumentNullException.ThrowIfNull(bar);
        if (bar.Function != this)
        {
            throw new ArgumentException($"{bar.Name} is not a BAR of {Name}", nameof(bar));
        }

        return bar.Kind == BarKind.Rom ? [new BarPart(0, _romRegion!)] : _contents.PartsOf(bar);
    }

    /// <inheritdoc/>
    public override uint ReadConfig(int offset, int size)
    {
        if (_physical.IsGone || _device.IsResetAlong)
        {
            return (uint)AccessWidth.AllOnes(size);
        }

        if (_msiPending is { } pending && offset < pending + 4 && offset + size > pending)
        {
            // Moves what the device raised from its trigger to the register, where the next read finds it too.
            _interrupts.CollectMsi();
        }

        uint value = base.ReadConfig(offset, size);
        if (offset <= PciRegisters.Status && offset + size > PciRegisters.Status && InterruptPin != 0)
        {
            value |= InterruptStatus() << (8 * (PciRegisters.Status - offset));
        }

        return _forwarded.Any(offset, size) ? _forwarded.Read(_physical, offset, size, value) : value;
    }

    /// <summary>
    /// Turns the device off and gives it back: interrupts first, then decoding and bus mastering, then its mappings and descriptors. The machine has taken the
    /// BARs from the guest and the DMA mappings from the device before. Not with the hierarchy's lock; further calls do nothing.
    /// </summary>
    public void Dispose()
    {
        if (Interlocked.Exchange(ref _disposed, 1) != 0)
        {
            return;
        }

        lock (_hardware)
        {
            // Who comes later finds that it is disposed.
            _interrupts.Stop();
        }

        _signals.Stop();
        _watch.Dispose();
        _physical.Quiesce();
        _physical.Release();
        _contents.Dispose();
        _rom?.Dispose();
        _interrupts.Close();
        _signals.Close();
        _device.Dispose();
        _lost.Close();
    }

    /// <summary>True when none of these registers are the device's own.</summary>
    internal bool IsEmulated(int offset, int size) => !_forwarded.Any(offset, size);

    /// <inheritdoc/>
    protected override bool OnConfigWriting(int offset, int size, ref uint value) => !_device.IsResetAlong;

    /// <inheritdoc/>
    protected override ConfigChange OnConfigWritten(int offset, int size, uint value)
    {
        if (!IsReady)
        {
            // The write changed the power state, which the device follows when it is settled.
            return ConfigChange.None;
        }

        _forwarded.Write(_physical, offset, size, value);
        Give();
        if (offset <= PciRegisters.Command + 1 && offset + size > PciRegisters.Command)
        {
            _interrupts.Update();
        }

        return ConfigChange.None;
    }

    /// <inheritdoc/>
    protected override void OnCommandProgrammed()
    {
        if (IsReady)
        {
            Give();
            _physical.Take(Command);
            _interrupts.Update();
        }
    }

    /// <inheritdoc/>
    protected override void OnPowerStateChanged()
    {
        IsReady = false;
        if (!IsInD0)
        {
            _interrupts.Update();
        }
    }

    /// <inheritdoc/>
    protected override void OnPlaced() => Find<AssignedExpressCapability>()?.FollowPlace(Bus?.Parent is null);

    /// <inheritdoc/>
    protected override void OnReset(ResetKind kind)
    {
        // All functions that are reset in one step say so before the first of them is: those that share a bus are reset together.
        IsReady = false;
        _interrupts.Suspend();
        _resetPending = true;
        SetIdle(true);
    }

    /// <inheritdoc/>
    protected override void OnChangeApplied(ConfigChange change)
    {
        if (IsReady)
        {
            _physical.Take(Command);
        }
    }

    /// <inheritdoc/>
    protected override void Settle(PciHierarchy hierarchy)
    {
        ArgumentNullException.ThrowIfNull(hierarchy);
        lock (_hardware)
        {
            bool isReset;
            bool awake;
            lock (hierarchy.Sync)
            {
                if (IsReady || Volatile.Read(ref _disposed) != 0)
                {
                    // Another thread settled this change with its own; or there is nothing left to settle.
                    return;
                }

                (isReset, _resetPending) = (_resetPending, false);
                awake = IsInD0;
            }

            if (isReset && !ResetDevice())
            {
                // Not ready until it is back: its next reset looks for it, or the watch.
                lock (hierarchy.Sync)
                {
                    _resetPending = true;
                }

                return;
            }

            _physical.SetPower(awake);
            hierarchy.Change(this, () => Return(isReset));
        }
    }

    private static PciIdentity IdentityOf(IVfioDevice device, byte[] config)
    {
        ReadOnlySpan<byte> raw = config;
        if ((raw[PciRegisters.HeaderType] & 0x7F) != 0)
        {
            throw new ApertureException($"{device.Name} is a bridge; only endpoints can be assigned");
        }

        return new PciIdentity(
            BinaryPrimitives.ReadUInt16LittleEndian(raw),
            BinaryPrimitives.ReadUInt16LittleEndian(raw[2..]),
            BinaryPrimitives.ReadUInt32LittleEndian(raw[PciRegisters.Revision..]) >> 8,
            raw[PciRegisters.Revision],
            BinaryPrimitives.ReadUInt16LittleEndian(raw[PciRegisters.SubsystemVendorId..]),
            BinaryPrimitives.ReadUInt16LittleEndian(raw[(PciRegisters.SubsystemVendorId + 2)..]));
    }

    // Of its driver's own kind, or for migration (VFIO_REGION_INFO_CAP_TYPE): what such a region means, only that driver's own monitors know.
    private void NoteOtherRegions()
    {
        foreach (VfioRegion region in _device.Regions.Where(static r => r.Index > VfioRegionIndex.Vga && r.Size > 0))
        {
            _notes.Add($"region {region.Index} of {ByteSize.Format(region.Size)} is left out: it is of its driver's own kind, or for migration");
        }
    }

    private static int PowerRegister(byte[] config)
    {
        FoundCapability? power = CapabilityWalk.Standard(config).Find(c => c.Id == PciCapabilityIds.PowerManagement && c.Room >= 8);
        return power is null ? 0 : power.Offset + 4;
    }

    private void AddHeader(byte[] config)
    {
        // 66 MHz, fast back-to-back and DEVSEL timing are the device's.
        const uint Constant = 1 << 5 | 1 << 7 | 3 << 9;
        uint status = BinaryPrimitives.ReadUInt16LittleEndian(config.AsSpan(PciRegisters.Status)) & Constant;
        Config.SetDefault(PciRegisters.Command, status << 16, Constant << 16);
        byte pin = config[PciRegisters.InterruptLine + 1];
        bool hasIntx = _device.Irqs.Any(i => i.Index == VfioIrqIndex.Intx && i.Count > 0);
        SetInterruptPin(hasIntx && pin <= 4 ? pin : (byte)0);
    }

    // INTx that the kernel delivers never passes here, so only the device knows whether one is pending. Its bit does not depend on whether the host masked
    // the line meanwhile (PCI Local Bus 3.0, section 6.2.3). All-ones is no status but a device that does not answer now.
    private uint InterruptStatus()
    {
        uint status = _physical.Read(PciRegisters.Status, 2);
        return status == ushort.MaxValue ? 0 : status & (uint)PciStatus.Interrupt;
    }

    private TrappedAccess Trap(int region, ulong start) => new(region, start, _physical, _intx);

    // The device is as the registers say; true when the map has to follow. Not yet when it was reset once more meanwhile: who did that waits to settle it; and
    // never when it was taken off its bus.
    private bool Return(bool isReset)
    {
        if (_resetPending || Bus is null)
        {
            return false;
        }

        IsReady = true;
        if (isReset)
        {
            Find<AssignedExpressCapability>()?.ProgramDevice();
        }

        Give();
        if (isReset)
        {
            _interrupts.Resume();
        }
        else
        {
            _interrupts.Update();
        }

        return IsInD0 && (Command & (PciCommand.IoSpace | PciCommand.MemorySpace)) != 0;
    }

    // The BARs are out of the guest and interrupts are off: the device is quiet and reset. False when it is away.
    private bool ResetDevice()
    {
        bool wasAway = _device.IsAway;
        _physical.Quiesce();
        int errno = _physical.IsGone && !wasAway ? 0 : _device.Reset();
        if (_device.IsAway)
        {
            return false;
        }

        if (wasAway)
        {
            _signals.Renew();
        }

        if (errno != 0)
        {
            _events.ResetFailed(this, errno);
        }

        _physical.Quiesce();
        return true;
    }

    // The device is away: the function is as in a reset that lasts until it is back. On the watch's thread.
    private void Recover(bool look)
    {
        if (Bus?.Hierarchy is not { } hierarchy)
        {
            return;
        }

        hierarchy.Change(this, () =>
        {
            if (!IsReady || !_device.IsAway || Bus is null)
            {
                return false;
            }

            Reset(ResetKind.Function);
            return true;
        });
        if (look)
        {
            Settle(hierarchy);
        }
    }

    private static int Sooner(int one, int other) => one < 0 ? other : other < 0 ? one : Math.Min(one, other);

    private void Give()
    {
        SetIdle(_isIdle && (Command & InUse) == 0);
        _physical.Give(Command);
    }

    // Only what changes is told: this is asked with every configuration write.
    private void SetIdle(bool idle)
    {
        if (idle != _isIdle)
        {
            _isIdle = idle;
            _device.SetIdle(idle);
        }
    }
}
