using Aperture.Pci;
using Aperture.Pci.Capabilities;
using Aperture.Pci.Ports;
using Aperture.Pci.Registers;
using Aperture.TestKit.Parts.Assigned;

namespace Aperture.Assignment.Tests;

/// <summary>An assigned function on a bus, with everything around it recorded into one log.</summary>
internal sealed class Bench : IDisposable
{
    public Bench(FakeDevice device, AssignedOptions? options = null, bool belowPort = true, FakeGuest? guest = null)
    {
        Device = device;
        Guest = guest ?? new FakeGuest();
        device.Guest = Guest;
        Guest.Log = device.Log;
        Pci = new PciHierarchy(new RecordingMap(device.Log), Sink);
        Function = new AssignedFunction(device, options ?? new AssignedOptions("dev"), Guest, Events) { IntxLine = Line };
        if (belowPort)
        {
            RootPort port = new("port", 1);
            Pci.Root.Add(0x08, port);
            port.Secondary.Add(0, Function);
            port.ProgramBusNumbers(0, 1, 1);
            Port = port;
        }
        else
        {
            Pci.Root.Add(0x10, Function);
        }
    }

    public FakeDevice Device { get; }

    public FakeGuest Guest { get; }

    public RecordingSink Sink { get; } = new();

    public RecordingEvents Events { get; } = new();

    public RecordingLine Line { get; } = new();

    public PciHierarchy Pci { get; }

    public RootPort? Port { get; }

    public AssignedFunction Function { get; }

    public List<string> Log => Device.Log;

    public static Bench Nvme(int vectors = 8, bool canGrow = false) => new(SampleConfig.Nvme(vectors, canGrow));

    public void Write(int offset, int size, uint value) => Pci.ConfigWrite(Function.Bdf, offset, size, value);

    public uint Read(int offset, int size) => Pci.ConfigRead(Function.Bdf, offset, size);

    /// <summary>Message of vector n in these tests.</summary>
    public static MsiMessage MessageOf(int vector, uint generation = 0) =>
        new(new GuestAddress(0xFEE0_0000 + ((ulong)vector << 12)), 0x30 + (uint)vector + (generation << 8));

    /// <summary>Programs an MSI-X vector's message and mask.</summary>
    public void Program(int vector, bool masked, uint generation = 0)
    {
        MsixCapability msix = Function.Find<MsixCapability>()!;
        MsiMessage message = MessageOf(vector, generation);
        ulong entry = (ulong)vector * MsixCapability.EntrySize;
        msix.Table.Write(entry, 8, message.Address.Value);
        msix.Table.Write(entry + 8, 4, message.Data);
        msix.Table.Write(entry + 12, 4, masked ? 1u : 0u);
    }

    public void SetMsix(bool enabled, bool functionMasked = false)
    {
        int control = Function.Find<MsixCapability>()!.Offset + 2;
        Write(control, 2, (enabled ? 0x8000u : 0) | (functionMasked ? 0x4000u : 0));
    }

    public void Enable(PciCommand command = PciCommand.MemorySpace | PciCommand.BusMaster) => Write(PciRegisters.Command, 2, (uint)command);

    /// <summary>Waits for what another thread does; fails after far longer than it can take.</summary>
    public static void Eventually(Func<bool> condition) => Assert.True(SpinWait.SpinUntil(condition, TimeSpan.FromSeconds(30)));

    public void Dispose() => Function.Dispose();
}
