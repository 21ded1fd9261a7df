using Aperture.Pci;
using Aperture.Pci.Capabilities;

namespace Aperture.Virtio.Transport;

/// <summary>
/// A virtio function's interrupts: MSI-X by the vectors the driver gave, else INTx with the status byte (VIRTIO 1.2, sections 4.1.4.5 and 4.1.5.3).
/// </summary>
internal sealed class VirtioInterrupts(PciFunction function, MsixCapability msix, VirtioCommonConfig common)
{
    private const byte QueueBit = 1;
    private const byte ConfigBit = 2;

    // Status and line change together, or a read between the two would leave the line up for good.
    private readonly Lock _gate = new();
    private byte _status;

    /// <summary>A queue returned a request.</summary>
    public void QueueServed(int queue) => Raise(QueueBit, common.QueueVector(queue));

    /// <summary>The device wants the driver to look at its configuration or status.</summary>
    public void ConfigChanged() => Raise(ConfigBit, common.ConfigVector);

    /// <summary>Reads the status byte, which clears it and deasserts INTx.</summary>
    public byte ReadStatus()
    {
        lock (_gate)
        {
            byte status = _status;
            _status = 0;
            function.SetIntx(false);
            return status;
        }
    }

    /// <summary>Forgets what was raised.</summary>
    public void Reset() => ReadStatus();

    private void Raise(byte bit, ushort vector)
    {
        if (msix.IsEnabled)
        {
            // "No vector" lies outside the table and raises nothing.
            msix.Trigger(vector);
            return;
        }

        lock (_gate)
        {
            _status |= bit;
            function.SetIntx(true);
        }
    }
}
