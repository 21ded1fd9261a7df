using Aperture.Pci.Capabilities;
using Aperture.Pci.Registers;

namespace Aperture.Pci;

/// <summary>
/// One PCI function: an endpoint with a type 0 header (PCI Local Bus 3.0, section 6.1), or the base of a bridge. It owns its registers, BARs
/// and capabilities; what lives behind a BAR belongs to its device. Config accesses come through <see cref="PciHierarchy"/>, which
/// serialises them; subclasses add registers with <see cref="Config"/> and behaviour with the hooks.
/// </summary>
public class PciFunction
{
    private const uint CommandWritable = (uint)(PciCommand.IoSpace | PciCommand.MemorySpace | PciCommand.BusMaster
        | PciCommand.ParityErrorResponse | PciCommand.SystemError | PciCommand.InterruptDisable);

    private const uint StatusClearable = (uint)(PciStatus.MasterDataParityError | PciStatus.SignaledTargetAbort
        | PciStatus.ReceivedTargetAbort | PciStatus.ReceivedMasterAbort | PciStatus.SignaledSystemError | PciStatus.DetectedParityError);

    private readonly Bar?[] _barByWord = new Bar?[0x10];
    private readonly List<Bar> _bars = [];
    private readonly List<Capability> _capabilities = [];
    private readonly Lock _intxGate = new();
    private PowerManagementCapability? _power;
    private IMessageVectors? _msi;
    private IMessageVectors? _msix;
    private volatile bool _intxAsserted;

    /// <summary>Makes an endpoint.</summary>
    /// <param name="name">What messages call it: the user's id.</param>
    /// <param name="identity">Its ids and class.</param>
    /// <param name="configSize"><see cref="ConfigSpace.ConventionalSize"/> or <see cref="ConfigSpace.ExtendedSize"/>.</param>
    public PciFunction(string name, PciIdentity identity, int configSize = ConfigSpace.ExtendedSize)
        : this(name, identity, configSize, 0)
    {
    }

    private protected PciFunction(string name, PciIdentity identity, int configSize, byte headerType)
    {
        Name = name;
        Identity = identity;
        Config = new ConfigSpace(configSize);
        Config.Define(PciRegisters.VendorId, 4, identity.Vendor | (uint)identity.Device << 16);
        Config.Define(PciRegisters.Command, 2, 0, writable: CommandWritable);
        Config.Define(PciRegisters.Status, 2, 0, writeOneToClear: StatusClearable);
        Config.Define(PciRegisters.Revision, 4, identity.Revision | identity.ClassCode << 8);
        Config.Define(PciRegisters.CacheLineSize, 1, 0, writable: 0xFF);
        Config.Define(PciRegisters.HeaderType, 1, headerType);
        Config.Define(PciRegisters.InterruptLine, 1, 0, writable: 0xFF);
        if (headerType == 0)
        {
            Config.Define(PciRegisters.SubsystemVendorId, 4, identity.SubsystemVendor | (uint)identity.Subsystem << 16);
        }
    }

    /// <summary>What messages call the function: the user's id.</summary>
    public string Name { get; }

    /// <summary>Ids and class.</summary>
    public PciIdentity Identity { get; }

    /// <summary>
    /// The registers. For the device side and for subclasses; guest accesses go through <see cref="ReadConfig"/> and <see cref="WriteConfig"/>.
    /// </summary>
    public ConfigSpace Config { get; }

    /// <summary>The bus it sits on; null while it is on none.</summary>
    public PciBus? Bus { get; internal set; }

    /// <summary>Its place on the bus, device in bits 7:3.</summary>
    public byte DeviceFunction { get; internal set; }

    /// <summary>Its routing id by the bus number that is programmed now; bus 0 while it is on none.</summary>
    public virtual Bdf Bdf => new((ushort)((Bus?.Number ?? 0) << 8 | DeviceFunction));

    /// <summary>The BARs in order of index: those of the header, the ROM, the VF BARs.</summary>
    public IReadOnlyList<Bar> Bars => _bars;

    /// <summary>The capabilities in the order they were added.</summary>
    public IReadOnlyList<Capability> Capabilities => _capabilities;

    /// <summary>The command register.</summary>
    public PciCommand Command => (PciCommand)Config.Get(PciRegisters.Command);

    /// <summary>True while the function is in D0; a function without power management always is.</summary>
    public bool IsInD0 => _power is null || _power.State == PowerState.D0;

    /// <summary>
    /// False while the hardware behind the function is being reset or changes its power state: as a device that is not ready it answers no configuration access
    /// (PCI Express 5.0, sections 2.3.1 and 6.6.2; PCI Bus Power Management 1.2, section 5.6.1), and nothing of it decodes. The hierarchy's lock guards it.
    /// </summary>
    public bool IsReady { get; protected set; } = true;

    /// <summary>True when the function may issue requests, DMA and MSI alike: bus master is on and it is in D0.</summary>
    public bool MayIssueRequests => (Command & PciCommand.BusMaster) != 0 && IsInD0;

    /// <summary>0 for none, 1 to 4 for INTA to INTD.</summary>
    public byte InterruptPin => (byte)(Config.Get(PciRegisters.InterruptLine) >> 8);

    /// <summary>What the guest wrote into the interrupt line register.</summary>
    public byte InterruptLine => (byte)Config.Get(PciRegisters.InterruptLine);

    /// <summary>
    /// Where INTx goes: set by the machine once it knows the route (<see cref="PciInterrupts"/>). Several functions may share an input; the machine ORs.
    /// </summary>
    public IInterruptLine? IntxLine { get; set; }

    /// <summary>Where MSI and MSI-X messages go; null means the hierarchy's sink.</summary>
    public IMsiSink? MsiSink { get; set; }

    // Read from the registers each time: a device's thread may ask while the guest writes them, and its own write asks again.
    private bool MayDriveIntx => InterruptPin != 0 && IsInD0 && (Command & PciCommand.InterruptDisable) == 0
        && _msi is not { IsEnabled: true } && _msix is not { IsEnabled: true };

    internal IMsiSink? EffectiveMsiSink => MsiSink ?? Bus?.Hierarchy?.MsiSink;

    private protected virtual int RomRegister => PciRegisters.RomType0;

    private protected virtual int BarRegisters => 6;

    /// <summary>
    /// Adds a BAR. <paramref name="index"/> is 0 to 5, or <see cref="BarKinds.RomIndex"/> for kind <see cref="BarKind.Rom"/>; a 64-bit BAR takes the next index
    /// too.
    /// </summary>
    /// <exception cref="ApertureException">The index is taken or out of range, or the size does not suit the kind.</exception>
    public Bar AddBar(int index, BarKind kind, ulong size)
    {
        BarRules.Check(Name, index, kind, size, BarRegisters);
        int register = index == BarKinds.RomIndex ? RomRegister : PciRegisters.Bar0 + (4 * index);
        int words = kind.Is64Bit() ? 2 : 1;
        for (int i = 0; i < words; i++)
        {
            if (_barByWord[(register >> 2) + i] is { } other)
            {
                throw new ApertureException($"{BarKinds.BarName(index)} of {Name} needs a register that {other.Name} already uses");
            }
        }

        Bar bar = new(this, index, kind, size, register);
        for (int i = 0; i < words; i++)
        {
            _barByWord[(register >> 2) + i] = bar;
        }

        AddBar(bar);
        return bar;
    }

    /// <summary>Takes in a BAR whose registers a capability has.</summary>
    internal void AddBar(Bar bar)
    {
        _bars.Add(bar);
        _bars.Sort((a, b) => a.Index.CompareTo(b.Index));
    }

    /// <summary>The BAR with this index, or null.</summary>
    public Bar? FindBar(int index) => _bars.Find(bar => bar.Index == index);

    /// <summary>Adds a standard capability at the end of the chain, at <paramref name="offset"/> or at the first free place.</summary>
    /// <exception cref="ApertureException">There is no room, or the place is taken.</exception>
    public void AddCapability(StandardCapability capability, int? offset = null)
    {
        Capability? last = _capabilities.FindLast(c => c is StandardCapability);
        int place = FindPlace(capability, offset, PciRegisters.FirstCapability, ConfigSpace.ConventionalSize);
        if (last is null)
        {
            Config.Define(PciRegisters.CapabilitiesPointer, 1, (uint)place);
            Config.SetDefault(PciRegisters.Command, (uint)PciStatus.CapabilityList << 16, (uint)PciStatus.CapabilityList << 16);
        }
        else
        {
            Config.SetDefault(last.Offset, (uint)place << 8, 0xFF00);
        }

        Config.Define(place, 2, capability.Id);
        _capabilities.Add(capability);
        capability.Place(this, place);
        _power ??= capability as PowerManagementCapability;
        _msi ??= capability as MsiCapability;
        _msix ??= capability as MsixCapability;
    }

    /// <summary>
    /// Adds an extended capability at the end of the chain, at <paramref name="offset"/> or at the first free place; the first one is at 0x100.
    /// </summary>
    /// <exception cref="ApertureException">The function is conventional, there is no room, the place is taken, or the first one is not at 0x100.</exception>
    public void AddCapability(ExtendedCapability capability, int? offset = null)
    {
        Capability? last = _capabilities.FindLast(c => c is ExtendedCapability);
        int place = FindPlace(capability, offset, PciRegisters.FirstExtendedCapability, Config.Size);
        if (last is null && place != PciRegisters.FirstExtendedCapability)
        {
            throw new ApertureException($"{Name} cannot begin its extended capabilities at 0x{place:x}: the list starts at 0x100");
        }

        if (last is not null)
        {
            Config.SetDefault(last.Offset, (uint)place << 20, 0xFFF0_0000);
        }

        Config.Define(place, 4, capability.Id | (uint)capability.Version << 16);
        _capabilities.Add(capability);
        capability.Place(this, place);
    }

    /// <summary>The first capability of a type, or null.</summary>
    public T? Find<T>()
        where T : Capability
    {
        foreach (Capability capability in _capabilities)
        {
            if (capability is T found)
            {
                return found;
            }
        }

        return null;
    }

    /// <summary>Gives the function an interrupt pin: 1 to 4 for INTA to INTD, 0 for none.</summary>
    public void SetInterruptPin(byte pin)
    {
        ArgumentOutOfRangeException.ThrowIfGreaterThan(pin, (byte)4);
        Config.Define(PciRegisters.InterruptLine + 1, 1, pin);
    }

    /// <summary>
    /// Asserts or deasserts INTx inside the function. The status bit shows it; the line follows unless the guest disabled INTx
    /// (PCI Local Bus 3.0, section 6.2.2), enabled MSI or MSI-X, with which a function must not use its pin (section 6.8), or put the function into D3hot,
    /// where it may initiate nothing but a PME (PCI Bus Power Management 1.2, section 5.4.1). Thread-safe.
    /// </summary>
    public void SetIntx(bool asserted)
    {
        lock (_intxGate)
        {
            _intxAsserted = asserted;
            DriveIntx();
        }
    }

    /// <summary>
    /// A guest's read of 1, 2 or 4 bytes at any offset; bytes outside the space are ones. Overridable for registers that are computed when read.
    /// A read may be made while a write is under way and then again, unless the register was declared with <see cref="ConfigSpace.DefineReadEffect"/>: any
    /// whose read has an effect has to be.
    /// </summary>
    public virtual uint ReadConfig(int offset, int size)
    {
        uint value = Config.Read(offset, size);
        if (_intxAsserted && offset <= PciRegisters.Status && offset + size > PciRegisters.Status)
        {
            // The device's thread owns this bit, so it is kept out of the register that guest writes replace.
            value |= (uint)PciStatus.Interrupt << (8 * (PciRegisters.Status - offset));
        }

        return value;
    }

    /// <summary>A guest's write of 1, 2 or 4 bytes at any offset. Never throws; what it changed comes back as data.</summary>
    public ConfigChange WriteConfig(int offset, int size, uint value)
    {
        if (size is not (1 or 2 or 4) || (uint)offset >= (uint)Config.Size)
        {
            return ConfigChange.None;
        }

        if ((offset & 3) + size <= 4)
        {
            return WriteInWord(offset, size, value);
        }

        ConfigChange change = ConfigChange.None;
        for (int i = 0; i < size && offset + i < Config.Size; i++)
        {
            change |= WriteInWord(offset + i, 1, value >> (8 * i) & 0xFF);
        }

        return change;
    }

    /// <summary>
    /// Programs a BAR as firmware does before the guest runs; address 0 unassigns it.
    /// </summary>
    /// <exception cref="ArgumentException">No such BAR, or the address does not suit it, or it is locked elsewhere.</exception>
    public void ProgramBar(int index, GuestAddress address)
    {
        Bar bar = FindBar(index) ?? throw new ArgumentException($"{Name} has no {BarKinds.BarName(index)}", nameof(index));
        bar.Program(address);
    }

    /// <summary>Turns command bits on or off as firmware does; bits outside <paramref name="mask"/> stay.</summary>
    public void ProgramCommand(PciCommand value, PciCommand mask)
    {
        uint before = Config.Get(PciRegisters.Command);
        Config.Set(PciRegisters.Command, (uint)value, (uint)mask & CommandWritable);
        CommandChanged(before ^ Config.Get(PciRegisters.Command));
        OnCommandProgrammed();
    }

    /// <summary>Resets the registers: BARs to 0 (pinned ones to their pin), decoding and interrupts off, D0. A bridge resets what is below it too.
    /// While vCPUs run, hold <see cref="PciHierarchy.Sync"/>; a guest may then read some registers before and others after it.</summary>
    public void Reset(ResetKind kind)
    {
        Config.Reset(kind);
        foreach (Bar bar in _bars)
        {
            bar.RestorePin();
        }

        foreach (Capability capability in _capabilities)
        {
            capability.OnReset(kind);
        }

        SetIntx(false);
        OnReset(kind);
    }

    /// <summary>After pins came into force, or went out of it, or the function came onto a bus where they are not in force.</summary>
    internal void PinForceChanged()
    {
        foreach (Bar bar in _bars)
        {
            if (bar.Pin is not null)
            {
                bar.PinForceChanged();
            }
        }
    }

    /// <summary>The name and, once on a bus, the routing id.</summary>
    public override string ToString() => Bus is null ? Name : $"{Name} ({Bdf})";

    /// <summary>
    /// Before a guest write inside one aligned word is carried out: may replace <paramref name="value"/>, or drop the write by returning false.
    /// </summary>
    protected virtual bool OnConfigWriting(int offset, int size, ref uint value) => true;

    /// <summary>After a guest write: what it changed beyond what this class knows. Called after BARs and capabilities took the write.</summary>
    protected virtual ConfigChange OnConfigWritten(int offset, int size, uint value) => ConfigChange.None;

    /// <summary>
    /// After the machine applied what a write or reset of this function changed (<see cref="IConfigWriteSink.Written"/> has returned): its BARs decode, or
    /// decode no more, as the registers say. With <see cref="PciHierarchy.Sync"/> held. A function with hardware behind it takes decode, power and
    /// state away here, because until now the guest could still reach it.
    /// </summary>
    protected internal virtual void OnChangeApplied(ConfigChange change)
    {
    }

    /// <summary>
    /// Does what a change left to the hardware and may take up to a second, and makes the function ready again (<see cref="PciHierarchy.Change"/>). Called
    /// without the hierarchy's lock whenever a write or reset left the function not ready, by the thread that made the change, once it is applied: only that
    /// thread waits. Several may call at once.
    /// </summary>
    protected internal virtual void Settle(PciHierarchy hierarchy)
    {
    }

    /// <summary>
    /// After a guest write gave the function another power state, before the machine hears of it: a function with hardware behind it is not ready until that
    /// has followed.
    /// </summary>
    protected virtual void OnPowerStateChanged()
    {
    }

    /// <summary>After the function was put on a bus: what its registers say of its place can follow.</summary>
    protected internal virtual void OnPlaced()
    {
    }

    /// <summary>After <see cref="ProgramCommand"/>.</summary>
    protected virtual void OnCommandProgrammed()
    {
    }

    /// <summary>After the registers were reset; the machine has not applied that yet (<see cref="OnChangeApplied"/>).</summary>
    protected virtual void OnReset(ResetKind kind)
    {
    }

    private protected virtual ConfigChange HeaderWritten(in RegisterWrite write) => ConfigChange.None;

    internal void RequestPermissionChanged()
    {
        foreach (Capability capability in _capabilities)
        {
            capability.OnRequestPermissionChanged();
        }
    }

    internal void PowerStateChanged()
    {
        OnPowerStateChanged();
        RequestPermissionChanged();
        FollowIntx();
    }

    private ConfigChange WriteInWord(int offset, int size, uint value)
    {
        if (!OnConfigWriting(offset, size, ref value))
        {
            return ConfigChange.None;
        }

        int word = offset & ~3;
        uint lanes = ByteEnable.For(offset, size).BitMask;
        uint before = Config.Get(word);
        Config.Write(offset, size, value);
        RegisterWrite write = new(word, before, Config.Get(word), value << (8 * (offset & 3)) & lanes, lanes);
        ConfigChange change = Dispatch(write) | OnConfigWritten(offset, size, value);
        if ((change & ConfigChange.FunctionReset) != 0)
        {
            Reset(ResetKind.Function);
            change |= ConfigChange.DecodeMap | ConfigChange.Interrupts | ConfigChange.BusMaster;
        }

        return change;
    }

    private ConfigChange Dispatch(in RegisterWrite write)
    {
        if (write.Register == PciRegisters.Command)
        {
            return CommandChanged(write.Changed);
        }

        if (write.Register < PciRegisters.FirstCapability)
        {
            Bar? bar = _barByWord[write.Register >> 2];
            return bar is null ? HeaderWritten(write) : bar.Written(write);
        }

        foreach (Capability capability in _capabilities)
        {
            if (write.Register >= capability.Offset && write.Register < capability.Offset + capability.Length)
            {
                ConfigChange change = capability.OnWritten(write with { Register = write.Register - capability.Offset });
                if (capability is IMessageVectors && change != ConfigChange.None)
                {
                    FollowIntx();
                }

                return change;
            }
        }

        return ConfigChange.None;
    }

    private ConfigChange CommandChanged(uint changed)
    {
        ConfigChange change = ConfigChange.None;
        if ((changed & (uint)(PciCommand.IoSpace | PciCommand.MemorySpace)) != 0)
        {
            change |= ConfigChange.DecodeMap;
        }

        if ((changed & (uint)PciCommand.BusMaster) != 0)
        {
            change |= ConfigChange.BusMaster;
            RequestPermissionChanged();
        }

        if ((changed & (uint)PciCommand.InterruptDisable) != 0)
        {
            change |= ConfigChange.Interrupts;
            FollowIntx();
        }

        return change;
    }

    // What may keep INTx from the line has changed.
    private void FollowIntx()
    {
        lock (_intxGate)
        {
            DriveIntx();
        }
    }

    private void DriveIntx() => IntxLine?.Set(_intxAsserted && MayDriveIntx);

    private int FindPlace(Capability capability, int? offset, int first, int end)
    {
        int place = first;
        foreach (Capability other in _capabilities)
        {
            if (other.Offset >= first && other.Offset < end)
            {
                place = Math.Max(place, (other.Offset + other.Length + 3) & ~3);
            }
        }

        place = offset ?? place;
        bool taken = _capabilities.Exists(c => place < c.Offset + c.Length && c.Offset < place + capability.Length);
        if (place < first || (place & 3) != 0 || place + capability.Length > end || taken)
        {
            throw new ApertureException(
                $"{Name} has no room for capability 0x{capability.Id:x} of {capability.Length} bytes at 0x{place:x}: it needs a free aligned place from "
                    + $"0x{first:x} to 0x{end - 1:x}");
        }

        return place;
    }
}
