using Aperture.Pci;
using Aperture.Pci.Capabilities;
using Aperture.Pci.Ports;

namespace Aperture.Devices.TestDevice;

/// <summary>
/// The test device as a PCI Express function: config space, BARs and capabilities by its spec, with <see cref="TestDeviceCore"/> behind the
/// trapped BARs. The machine puts it on a bus, asks <see cref="Handler"/> for what answers each trapped BAR and backs the others with memory.
/// </summary>
public sealed class TestFunction : PciFunction
{
    /// <summary>
    /// The vendor id. Not registered with the PCI-SIG and in no public id list when this was written, so that no driver binds and
    /// nobody's device is impersonated.
    /// </summary>
    public const ushort TestVendor = 0xA9E7;

    /// <summary>The device id, of the same standing.</summary>
    public const ushort TestDevice = 0x0001;

    // Base class 0xFF: fits no defined class (PCI Code and ID Assignment 1.11, section 1).
    private const uint UnassignedClass = 0xFF0000;
    private const byte IntA = 1;

    private readonly IAccessHandler?[] _handlers = new IAccessHandler?[BarKinds.RomIndex + 1];

    /// <summary>Makes the function in its reset state, on no bus.</summary>
    /// <param name="spec">What it has.</param>
    /// <param name="dmaFor">Gives a function its way to guest memory; called once. Bus mastering need not be looked at there.</param>
    public TestFunction(TestDeviceSpec spec, Func<PciFunction, IDma> dmaFor)
        : base(NameOf(spec), new PciIdentity(spec.Vendor, spec.Device, UnassignedClass, 1, TestVendor, TestDevice))
    {
        ArgumentNullException.ThrowIfNull(dmaFor);
        Spec = spec;
        AddCapability(new PowerManagementCapability());
        AddCapability(new PciExpressCapability(spec.Port is null ? PciePortType.RootComplexEndpoint : PciePortType.Endpoint));
        MsiCapability? msi = AddMsi(spec);
        MsixCapability? msix = AddMsix(spec);
        SetInterruptPin(IntA);
        Core = new TestDeviceCore(spec, new MasterGate(this, dmaFor(this)), new Interrupts(this, msi, msix));
        AddBars(msix);
        VirtualFunctions = spec.Vfs == 0 ? [] : AddVirtualFunctions();
    }

    /// <summary>What it was made from.</summary>
    public TestDeviceSpec Spec { get; }

    /// <summary>The device behind the function.</summary>
    public TestDeviceCore Core { get; }

    /// <summary>The ROM, or null.</summary>
    public TestRom? Rom { get; private set; }

    /// <summary>The VFs that there can be, by number.</summary>
    public IReadOnlyList<TestVirtualFunction> VirtualFunctions { get; }

    /// <summary>
    /// What answers BAR <paramref name="index"/> (<see cref="BarKinds.RomIndex"/> for the ROM) with offsets from its start; null when there is no such BAR
    /// or RAM stands behind it.
    /// </summary>
    public IAccessHandler? Handler(int index) => (uint)index < (uint)_handlers.Length ? _handlers[index] : null;

    /// <inheritdoc/>
    protected override void OnReset(ResetKind kind) => Core.Reset();

    private static string NameOf(TestDeviceSpec spec)
    {
        ArgumentNullException.ThrowIfNull(spec);
        return spec.Id;
    }

    private MsiCapability? AddMsi(TestDeviceSpec spec)
    {
        if (spec.MsiVectors == 0)
        {
            return null;
        }

        MsiCapability msi = new(spec.MsiVectors);
        AddCapability(msi);
        return msi;
    }

    private MsixCapability? AddMsix(TestDeviceSpec spec)
    {
        if (spec.MsixPlace is not { } place)
        {
            return null;
        }

        MsixCapability msix = new(spec.MsixVectors, place.Bar, place.TableOffset, place.Bar, place.PendingOffset);
        AddCapability(msix);
        return msix;
    }

    private void AddBars(MsixCapability? msix)
    {
        foreach (TestBarSpec bar in Spec.Bars)
        {
            AddBar(bar.Index, bar.Kind, bar.Size);
            IAccessHandler? handler = Core.Handler(bar.Index);
            bool holdsMsix = msix is not null && Spec.MsixPlace is { } place && place.Bar == bar.Index;
            _handlers[bar.Index] = holdsMsix ? new MsixSplit(handler!, msix!, Spec.MsixPlace!.Value) : handler;
        }

        if (Spec.RomSize != 0)
        {
            AddBar(BarKinds.RomIndex, BarKind.Rom, Spec.RomSize);
            Rom = Spec.RomFile is { } file ? new TestRom(file, Spec.RomSize) : new TestRom(Spec.Id, Identity, Spec.RomSize);
            _handlers[BarKinds.RomIndex] = Rom;
        }
    }

    // Behind a link VFs may have numbers above 7, which only ARI reaches (PCI Express 5.0, section 9.2.1.2).
    private TestVirtualFunction[] AddVirtualFunctions()
    {
        TestVirtualFunction[] functions = [.. Enumerable.Range(0, Spec.Vfs).Select(number => new TestVirtualFunction(this, number))];
        if (Spec.Port is not null)
        {
            AddCapability(new AriCapability());
        }

        SriovCapability sriov = new(functions, (ushort)(Identity.Device + 1), Spec.VfOffset, Spec.VfStride);
        AddCapability(sriov);
        foreach (TestBarSpec bar in Spec.VfBars)
        {
            sriov.AddBar(bar.Index - BarKinds.Vf0, bar.Kind, bar.Size);
        }

        return functions;
    }

    /// <summary>Routes the MSI-X structures' places to the capability and the rest of the BAR to the device.</summary>
    private sealed class MsixSplit(IAccessHandler device, MsixCapability msix, TestMsixPlace place) : IAccessHandler
    {
        public AccessResult Read(ulong offset, int size, out ulong value) => Route(ref offset).Read(offset, size, out value);

        public AccessResult Write(ulong offset, int size, ulong value) => Route(ref offset).Write(offset, size, value);

        private IAccessHandler Route(ref ulong offset)
        {
            if (offset - place.TableOffset < (ulong)msix.TableSize)
            {
                offset -= place.TableOffset;
                return msix.Table;
            }

            if (offset - place.PendingOffset < (ulong)msix.PendingSize)
            {
                offset -= place.PendingOffset;
                return msix.PendingBits;
            }

            return device;
        }
    }

    /// <summary>Refuses requests while bus mastering is off or the function is not in D0.</summary>
    private sealed class MasterGate(PciFunction function, IDma dma) : IDma
    {
        public bool Read(GuestAddress address, Span<byte> destination) => function.MayIssueRequests && dma.Read(address, destination);

        public bool Write(GuestAddress address, ReadOnlySpan<byte> source) => function.MayIssueRequests && dma.Write(address, source);
    }

    private sealed class Interrupts(PciFunction function, MsiCapability? msi, MsixCapability? msix) : ITestInterrupts
    {
        public bool MsiEnabled => msi?.IsEnabled ?? false;

        public bool MsixEnabled => msix?.IsEnabled ?? false;

        public void FireMsi(int vector) => msi?.Trigger(vector);

        public void FireMsix(int vector) => msix?.Trigger(vector);

        public void SetIntx(bool asserted) => function.SetIntx(asserted);
    }
}
