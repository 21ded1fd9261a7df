using Aperture.Memory;
using Aperture.Pci;
using Aperture.Pci.Capabilities;
using Aperture.Pci.Ports;
using Aperture.Pci.Registers;

namespace Aperture.Virtio.Transport;

/// <summary>
/// A modern virtio device on PCI (VIRTIO 1.2, section 4.1): the transport's structures in BAR 0 (<see cref="VirtioLayout"/>), MSI-X or INTx, split
/// queues. Requests run on a worker thread of the function's own; a vCPU only rings the doorbell. A driver that breaks the rules gets
/// DEVICE_NEEDS_RESET; one whose bus mastering is off is not served.
/// </summary>
public sealed class VirtioPciFunction : PciFunction, IBarBacking, IDisposable
{
    /// <summary>Added to the device type, it makes the device id (section 4.1.2.1).</summary>
    public const ushort FirstDevice = 0x1040;

    private const ushort Subsystem = 0x1100;
    private const byte ModernRevision = 1;
    private const byte IntA = 1;

    private readonly VirtioCommonConfig _common;
    private readonly VirtioInterrupts _interrupts;
    private readonly VirtioConfigAccess _window;
    private readonly VirtioWorker _worker;
    private readonly BarHandler _bar;

    /// <summary>Makes the function in its reset state, on no bus, and starts its worker.</summary>
    /// <param name="name">What messages call it.</param>
    /// <param name="device">What it does.</param>
    /// <param name="dmaFor">Gives a function its way to guest memory; called once. Bus mastering need not be looked at there.</param>
    /// <param name="express">The PCI Express capability's type; null for a conventional function of 256 bytes.</param>
    /// <param name="faulted">Told on the worker's thread when that failed by a fault of this program, and serves no more; null: the process ends then.</param>
    public VirtioPciFunction(string name, VirtioDevice device, Func<PciFunction, IDma> dmaFor, PciePortType? express, Action<Exception>? faulted = null)
        : base(name, IdentityOf(device), express is null ? ConfigSpace.ConventionalSize : ConfigSpace.ExtendedSize)
    {
        ArgumentNullException.ThrowIfNull(dmaFor);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(device.QueueCount, VirtioLayout.MostQueues, nameof(device));
        Device = device;
        if (express is { } type)
        {
            AddCapability(new PowerManagementCapability());
            AddCapability(new PciExpressCapability(type));
        }

        int vectors = device.QueueCount + 1;
        MsixCapability msix = new(vectors, VirtioLayout.Bar, VirtioLayout.MsixTable, VirtioLayout.Bar, VirtioLayout.MsixPending);
        AddCapability(msix);
        uint doorbells = (uint)device.QueueCount * VirtioLayout.NotifyStride;
        AddCapability(new VirtioPciCapability(VirtioStructure.Common, VirtioLayout.Bar, VirtioLayout.Common, VirtioLayout.CommonLength));
        AddCapability(new VirtioPciCapability(VirtioStructure.Notify, VirtioLayout.Bar, VirtioLayout.Notify, doorbells, VirtioLayout.NotifyStride));
        AddCapability(new VirtioPciCapability(VirtioStructure.InterruptStatus, VirtioLayout.Bar, VirtioLayout.InterruptStatus, 1));
        AddCapability(new VirtioPciCapability(VirtioStructure.Device, VirtioLayout.Bar, VirtioLayout.Device, device.ConfigLength));
        _window = new VirtioConfigAccess(Handler);
        AddCapability(_window);
        SetInterruptPin(IntA);
        AddBar(VirtioLayout.Bar, BarKind.Memory32, VirtioLayout.BarSize);

        ulong features = device.Features | VirtioFeatures.Version1 | VirtioFeatures.IndirectDescriptors;
        _common = new VirtioCommonConfig(features, device.QueueCount, device.LargestQueue, new Events(this));
        _interrupts = new VirtioInterrupts(this, msix, _common);
        _worker = new VirtioWorker(this, device, dmaFor(this), _common, _interrupts, faulted);
        _bar = new BarHandler(this, msix);
    }

    /// <summary>What it does.</summary>
    public VirtioDevice Device { get; }

    /// <inheritdoc/>
    public IAccessHandler? Handler(int index) => index == VirtioLayout.Bar ? _bar : null;

    /// <inheritdoc/>
    public RamBlock? Memory(int index) => null;

    /// <summary>Rings the doorbell of <paramref name="queue"/> as a write to it does; a number without a queue does nothing. Any thread.</summary>
    public void Notify(int queue)
    {
        if ((uint)queue < (uint)Device.QueueCount)
        {
            _worker.Wake(1UL << queue);
        }
    }

    /// <summary>Waits until every notification so far was served. False when <paramref name="limit"/> passed first.</summary>
    public bool WaitIdle(TimeSpan limit) => _worker.WaitIdle(limit);

    /// <inheritdoc/>
    public override uint ReadConfig(int offset, int size) =>
        _window.IsData(offset, size) ? _window.ReadData(offset, size) : base.ReadConfig(offset, size);

    /// <summary>Stops the worker after the request it is in. The device and its files are the caller's.</summary>
    public void Dispose() => _worker.Dispose();

    /// <inheritdoc/>
    protected override void OnReset(ResetKind kind)
    {
        _common.Reset();
        _worker.Abandon();
        _interrupts.Reset();
    }

    private static PciIdentity IdentityOf(VirtioDevice device)
    {
        ArgumentNullException.ThrowIfNull(device);
        return new PciIdentity(
            PciIds.VirtioVendor, (ushort)(FirstDevice + device.DeviceType), device.ClassCode, ModernRevision, PciIds.VirtioVendor, Subsystem);
    }

    private sealed class Events(VirtioPciFunction owner) : IVirtioCommonEvents
    {
        public void DriverReset()
        {
            owner._worker.Abandon();
            owner._interrupts.Reset();
        }

        // Doorbells that rang before are not lost.
        public void DriverReady() => owner._worker.Wake((1UL << owner.Device.QueueCount) - 1);

        public void NeedsReset() => owner._interrupts.ConfigChanged();
    }

    /// <summary>Routes BAR 0 to the structures in it.</summary>
    private sealed class BarHandler(VirtioPciFunction owner, MsixCapability msix) : IAccessHandler, IByteRegisters
    {
        public AccessResult Read(ulong offset, int size, out ulong value)
        {
            if (Route(ref offset) is { } structure)
            {
                return structure.Read(offset, size, out value);
            }

            switch (offset)
            {
                case VirtioLayout.InterruptStatus when AccessLanes.Starts(0, size, 1):
                    value = owner._interrupts.ReadStatus();
                    return AccessResult.Ok;
                case >= VirtioLayout.Device and < VirtioLayout.Notify:
                    return AccessLanes.ReadBytes(this, owner.Device.ConfigLength, offset - VirtioLayout.Device, size, out value);
                default:
                    value = IsDoorbell(offset, size) ? 0 : ulong.MaxValue;
                    return IsDoorbell(offset, size) ? AccessResult.Ok : AccessResult.Unclaimed;
            }
        }

        public AccessResult Write(ulong offset, int size, ulong value)
        {
            if (Route(ref offset) is { } structure)
            {
                return structure.Write(offset, size, value);
            }

            if (IsDoorbell(offset, size))
            {
                owner.Notify((int)((offset - VirtioLayout.Notify) / VirtioLayout.NotifyStride));
                return AccessResult.Ok;
            }

            // Interrupt status and device configuration are read-only.
            bool known = offset is >= VirtioLayout.InterruptStatus and < VirtioLayout.Notify && AccessLanes.Starts(0, size, 1);
            return known ? AccessResult.Ok : AccessResult.Unclaimed;
        }

        public byte ReadByte(uint offset) => owner.Device.ReadConfig(offset);

        public void WriteByte(uint offset, byte value)
        {
        }

        private IAccessHandler? Route(ref ulong offset)
        {
            if (offset < VirtioLayout.CommonLength)
            {
                return owner._common;
            }

            if (offset - VirtioLayout.MsixTable < (ulong)msix.TableSize)
            {
                offset -= VirtioLayout.MsixTable;
                return msix.Table;
            }

            if (offset - VirtioLayout.MsixPending < (ulong)msix.PendingSize)
            {
                offset -= VirtioLayout.MsixPending;
                return msix.PendingBits;
            }

            return null;
        }

        private bool IsDoorbell(ulong offset, int size) =>
            AccessLanes.Starts(offset - VirtioLayout.Notify, size, (ulong)owner.Device.QueueCount * VirtioLayout.NotifyStride);
    }
}
