using Aperture.Devices;
using Aperture.Devices.FwCfg;
using Aperture.Devices.Pc;
using Aperture.Devices.Serial;
using Aperture.Memory;
using Aperture.Pci;
using HighPrecisionTimer = Aperture.Devices.Pc.Hpet;

namespace Aperture.Board.Pc;

/// <summary>The devices of a PC at fixed ports, which every board has.</summary>
internal sealed class LegacyDevices : IResettable, IDisposable
{
    private const uint KeyboardInterrupt = 1;
    private const uint SerialInterrupt = 4;
    private const uint ClockInterrupt = 8;
    private const uint SciInterrupt = 9;
    private readonly List<IResettable> _resettable = [];
    private readonly List<IDisposable> _disposable = [];

    /// <summary>Makes the devices.</summary>
    public LegacyDevices(PcParts parts, PciHierarchy hierarchy, SharedLines lines)
    {
        Serial = new Serial16550(lines.Source(SerialInterrupt), parts.Serial);
        PowerManagement = new AcpiPmBlock(parts.Clock, lines.Source(SciInterrupt), parts.Control, raisesSmi: parts.Management is not null);
        _resettable.AddRange([Serial, PowerManagement]);
        _disposable.Add(PowerManagement);
        Config = Resets(new ConfigPorts(new Cf8Mechanism(hierarchy), new ResetControl(parts.Control)));
        Apm = Resets(new PmCommandPort(PowerManagement, parts.Management is { } management ? management.Raise : null));
        Port92 = Resets(new Port92(parts.Control));
        Keyboard = Resets(new I8042(parts.Control, lines.Source(KeyboardInterrupt)));
        Cmos = Resets(new Cmos(parts.Clock, lines.Source(ClockInterrupt), new CmosMemorySize(parts.Ram.LowSize, parts.Ram.HighSize), new CmosBoot(parts.Cpus)));
        Hpet = Resets(new Hpet(parts.Clock, input => lines.Source((uint)input)));
        TestDevice = parts.HasTestDevice ? Resets(new PcTestDevice(lines.Source)) : null;
        _disposable.Add(Hpet);
        _disposable.Add(Cmos);
    }

    /// <summary>The first serial port.</summary>
    public Serial16550 Serial { get; }

    /// <summary>The keyboard controller with its keyboard.</summary>
    public I8042 Keyboard { get; }

    /// <summary>The ACPI block.</summary>
    public AcpiPmBlock PowerManagement { get; }

    private ConfigPorts Config { get; }

    private PmCommandPort Apm { get; }

    private Port92 Port92 { get; }

    private Cmos Cmos { get; }

    private Hpet Hpet { get; }

    private PcTestDevice? TestDevice { get; }

    /// <summary>Puts the devices at their ports and addresses.</summary>
    public void Place(MapChange both, PcParts parts)
    {
        AddressChange change = both.Ports;
        Place(change, "i8042-data", I8042.DataPort, I8042.Length, Keyboard.Data);
        Place(change, "i8042-command", I8042.CommandPort, I8042.Length, Keyboard.Command);
        Place(change, "cmos", Cmos.Port, Cmos.Length, Cmos);
        Place(change, "post", DummyPort.PostPort, DummyPort.Length, new DummyPort());
        Place(change, "delay", DummyPort.DelayPort, DummyPort.Length, new DummyPort());
        Place(change, "port92", Port92.Port, Port92.Length, Port92);
        Place(change, "com1", Serial16550.Com1, Serial16550.Length, Serial);
        Place(change, "apm", PmCommandPort.Port, PmCommandPort.Length, Apm);
        Place(change, "pci-config", Cf8Mechanism.FirstPort, Cf8Mechanism.PortCount, Config);
        foreach (DebugConsolePort console in parts.DebugConsoles)
        {
            Place(change, $"debugcon-{console.Port:x}", console.Port, DebugConsole.Length, new DebugConsole(console.Backend));
        }

        foreach (ushort port in parts.DebugExitPorts)
        {
            Place(change, $"debug-exit-{port:x}", port, DebugExit.Length, new DebugExit(parts.Control));
        }

        if (TestDevice is { } test)
        {
            Place(change, "pc-testdev", PcTestDevice.RegisterPort, PcTestDevice.RegisterPorts, test.Registers);
            Place(change, "pc-testdev-lines", PcTestDevice.LinePort, PcTestDevice.Lines, test.Inputs);
            Region memory = Region.Trapped("pc-testdev-memory", PcTestDevice.MemorySize, test.Memory);
            both.Memory.Place(memory, new GuestAddress(PcTestDevice.MemoryAddress), RegionPriority.Legacy);
        }

        both.Memory.Place(Region.Trapped("hpet", HighPrecisionTimer.Length, Hpet), new GuestAddress(HighPrecisionTimer.DefaultAddress), RegionPriority.Legacy);
    }

    /// <summary>Tells the guest, in the CMOS, how much RAM is where.</summary>
    public void SetMemorySize(IReadOnlyList<AddressRange> ram)
    {
        ulong low = 0;
        ulong high = 0;
        foreach (AddressRange range in ram)
        {
            (low, high) = range.Start < GuestRam.HighBase ? (low + range.Size, high) : (low, high + range.Size);
        }

        Cmos.SetMemorySize(new CmosMemorySize(low, high));
    }

    /// <summary>Puts the firmware configuration device at its ports.</summary>
    public void Add(AddressChange change, FwCfgDevice device) =>
        Place(change, "fw-cfg", FwCfgDevice.Port, FwCfgDevice.Length, Resets(device));

    /// <inheritdoc/>
    public void Reset()
    {
        foreach (IResettable device in _resettable)
        {
            device.Reset();
        }
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        foreach (IDisposable device in _disposable)
        {
            device.Dispose();
        }
    }

    private static void Place(AddressChange change, string name, ushort port, int length, IAccessHandler handler) =>
        change.Place(Region.Trapped(name, (ulong)length, handler), new GuestAddress(port), RegionPriority.Ram);

    private T Resets<T>(T device)
        where T : IResettable
    {
        _resettable.Add(device);
        return device;
    }
}
