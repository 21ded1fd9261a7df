using Aperture.Memory;
using Aperture.Pci;
using Aperture.Pci.Registers;

namespace Aperture.Devices.Display;

/// <summary>
/// A display adapter that firmware and systems know as the Bochs or QEMU standard VGA, 1234:1111: legacy ports and window, the Bochs display registers, the
/// framebuffer in BAR 0, the registers once more in BAR 2. What it shows is read with <see cref="ReadText"/> and <see cref="Capture"/>.
/// Legacy ranges answer only while the command register's I/O or memory bit is on.
/// </summary>
public sealed class StandardVga : PciFunction, IBarBacking, IDisposable
{
    /// <summary>The vendor id, as the drivers know it.</summary>
    public const ushort VgaVendor = 0x1234;

    /// <summary>The device id.</summary>
    public const ushort VgaDevice = 0x1111;

    /// <summary>The first legacy port; <see cref="PortCount"/> of them.</summary>
    public const ushort FirstPort = VgaPorts.First;

    /// <summary>How many legacy ports.</summary>
    public const ushort PortCount = VgaPorts.Length;

    /// <summary>The first port of the Bochs registers; <see cref="DispiPortCount"/> of them.</summary>
    public const ushort FirstDispiPort = DispiPorts.First;

    /// <summary>How many ports the Bochs registers take.</summary>
    public const ushort DispiPortCount = DispiPorts.Length;

    /// <summary>Bytes of the framebuffer and of BAR 0.</summary>
    public const ulong FramebufferSize = 16 << 20;

    /// <summary>Bytes of BAR 2.</summary>
    public const ulong RegisterSize = 4096;

    /// <summary>Index of the BAR with the framebuffer: 32-bit, prefetchable.</summary>
    public const int FramebufferBar = 0;

    /// <summary>Index of the BAR with the registers: 32-bit.</summary>
    public const int RegisterBar = 2;

    private const uint VgaClass = 0x030000;
    private const byte RevisionWithExtensions = 2;

    private readonly VgaState _state = new();
    private readonly RamBlock _memory;
    private readonly ExpansionRom? _rom;
    private readonly VgaPorts _ports;
    private readonly VgaWindow _window;
    private readonly Dispi _dispi;
    private readonly DispiPorts _dispiPorts;
    private readonly VgaRegisterBar _registers;

    /// <summary>Makes the adapter in its reset state, on no bus.</summary>
    /// <param name="name">What messages call it.</param>
    /// <param name="rom">Its video BIOS, owned by the adapter from then on; null for none.</param>
    /// <exception cref="ApertureException">The host has no memory for the framebuffer.</exception>
    public StandardVga(string name, ExpansionRom? rom)
        : base(name, new PciIdentity(VgaVendor, VgaDevice, VgaClass, RevisionWithExtensions, PciIds.VirtioVendor, 0x1100), ConfigSpace.ConventionalSize)
    {
        _rom = rom;
        _memory = RamBlock.Create($"{name}.framebuffer", FramebufferSize);
        _ports = new VgaPorts(_state);
        _window = new VgaWindow(_state, _memory);
        _dispi = new Dispi(_state, _memory);
        _dispiPorts = new DispiPorts(_dispi);
        _registers = new VgaRegisterBar(_ports, _dispi);
        LegacyPorts = new Gate(this, PciCommand.IoSpace, _ports);
        BochsPorts = new Gate(this, PciCommand.IoSpace, _dispiPorts);
        LegacyWindow = new Gate(this, PciCommand.MemorySpace, _window);
        AddBar(FramebufferBar, BarKind.Memory32Prefetchable, FramebufferSize);
        AddBar(RegisterBar, BarKind.Memory32, RegisterSize);
        if (rom is not null)
        {
            AddBar(BarKinds.RomIndex, BarKind.Rom, rom.Size);
        }

        ResetRegisters();
    }

    /// <summary>The legacy window's addresses.</summary>
    public static AddressRange WindowRange => new(new GuestAddress(VgaWindow.Start), VgaWindow.Length);

    /// <summary>What answers <see cref="FirstPort"/> and up.</summary>
    public IAccessHandler LegacyPorts { get; }

    /// <summary>What answers <see cref="FirstDispiPort"/> and up.</summary>
    public IAccessHandler BochsPorts { get; }

    /// <summary>What answers <see cref="WindowRange"/>.</summary>
    public IAccessHandler LegacyWindow { get; }

    /// <inheritdoc/>
    public IAccessHandler? Handler(int index) => index == RegisterBar ? _registers : null;

    /// <inheritdoc/>
    public RamBlock? Memory(int index) => index switch
    {
        FramebufferBar => _memory,
        BarKinds.RomIndex => _rom?.Memory,
        _ => null,
    };

    /// <summary>The text on the screen; null in a graphics mode. Any thread, also while the guest writes.</summary>
    public TextScreen? ReadText()
    {
        VgaState copy = Copy();
        return copy.IsGraphics || copy.Dispi.Enabled ? null : TextScreen.Read(copy, _memory);
    }

    /// <summary>The picture on the screen. Any thread, also while the guest draws.</summary>
    public ScreenImage Capture() => ScreenRenderer.Render(Copy(), _memory);

    /// <summary>Gives the framebuffer and the ROM back.</summary>
    public void Dispose()
    {
        _memory.Dispose();
        _rom?.Dispose();
    }

    /// <inheritdoc/>
    protected override void OnReset(ResetKind kind) => ResetRegisters();

    private void ResetRegisters()
    {
        lock (_state.Gate)
        {
            _state.Reset();
            _ports.Reset();
            _window.Reset();
            _dispi.Reset();
            _dispiPorts.Reset();
        }
    }

    private VgaState Copy()
    {
        VgaState copy = new();
        lock (_state.Gate)
        {
            _state.CopyTo(copy);
        }

        return copy;
    }

    /// <summary>Legacy ranges decode by the same command bits as BARs (PCI Local Bus 3.0, section 6.2.2).</summary>
    private sealed class Gate(PciFunction function, PciCommand bit, IAccessHandler behind) : IAccessHandler
    {
        public AccessResult Read(ulong offset, int size, out ulong value)
        {
            if ((function.Command & bit) != 0)
            {
                return behind.Read(offset, size, out value);
            }

            value = ulong.MaxValue;
            return AccessResult.Unclaimed;
        }

        public AccessResult Write(ulong offset, int size, ulong value) =>
            (function.Command & bit) != 0 ? behind.Write(offset, size, value) : AccessResult.Unclaimed;
    }
}
