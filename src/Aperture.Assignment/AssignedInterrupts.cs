using Aperture.Hypervisor;
using Aperture.Pci;

namespace Aperture.Assignment;

/// <summary>
/// Keeps the one kind of interrupt that a device has enabled in the host at what the guest's registers ask for: MSI-X, else MSI, else INTx unless it is
/// disabled, or none. Thread-safe.
/// </summary>
internal sealed class AssignedInterrupts : IVectorListener
{
    private readonly AssignedFunction function;
    private readonly Lock gate = new();
    private readonly MessageInterrupts? msi;
    private readonly MessageInterrupts? msix;
    private readonly IntxDelivery intx;
    private readonly bool hasIntx;
    private Mode mode;
    private uint? intxGsi;
    private uint? startedGsi;
    private bool suspended;
    private bool closed;

    /// <summary>Takes over the interrupts of a device whose capabilities are already on <paramref name="function"/>.</summary>
    public AssignedInterrupts(AssignedFunction function, IVfioDevice device, IGuestInterrupts guest, DeviceWatch watch, IntxDelivery intx, Action<int, int> failed)
    {
        this.function = function;
        this.intx = intx;
        hasIntx = Find(device, VfioIrqIndex.Intx) is { Count: > 0 };
        msi = Make(function.Find<MsiCapability>(), VfioIrqIndex.Msi);
        msix = Make(function.Find<MsixCapability>(), VfioIrqIndex.Msix);

        MessageInterrupts? Make(IMessageVectors? vectors, int index)
        {
            if (vectors is null || Find(device, index) is not { } irq)
            {
                return null;
            }

            vectors.Listener = this;
            return new MessageInterrupts(device, guest, watch, irq, vectors, failed);
        }
    }

    private enum Mode : byte
    {
        None,
        Intx,
        Msi,
        Msix,
    }

    /// <summary>The input that INTx raises in the hypervisor; null while there is none.</summary>
    public uint? IntxGsi
    {
        get => intxGsi;
        set
        {
            lock (gate)
            {
                intxGsi = value;
            }

            Update();
        }
    }

    /// <summary>How many vectors, INTx included, are delivered by this process instead of the hypervisor.</summary>
    public int Relayed
    {
        get
        {
            lock (gate)
            {
                return (msi?.Relayed ?? 0) + (msix?.Relayed ?? 0) + (intx.IsRelayed ? 1 : 0);
            }
        }
    }

    /// <summary>Brings everything to what the registers say.</summary>
    public void Update()
    {
        lock (gate)
        {
            Switch(suspended || closed ? Mode.None : Wanted(), drop: false);
            Messages(mode)?.Refresh(0, int.MaxValue / 2);
        }
    }

    /// <summary>Turns everything off and drops what is pending, until <see cref="Resume"/>: the device is being reset.</summary>
    public void Suspend()
    {
        lock (gate)
        {
            suspended = true;
            Switch(Mode.None, drop: true);
        }
    }

    /// <summary>Ends <see cref="Suspend"/>.</summary>
    public void Resume()
    {
        lock (gate)
        {
            suspended = false;
        }

        Update();
    }

    /// <summary>Turns everything off for good.</summary>
    public void Stop()
    {
        lock (gate)
        {
            closed = true;
            Switch(Mode.None, drop: true);
        }
    }

    /// <summary>Closes what is open; after <see cref="Stop"/> and the watch's end.</summary>
    public void Close()
    {
        msi?.Close();
        msix?.Close();
        intx.Close();
    }

    /// <summary>Before the guest reads MSI's pending bits.</summary>
    public void CollectMsi()
    {
        if (msi is not null)
        {
            CollectPending(msi.Vectors, 0, msi.Vectors.Vectors);
        }
    }

    /// <inheritdoc/>
    public void VectorsChanged(IMessageVectors source, int first, int count)
    {
        lock (gate)
        {
            // Enabling comes with every vector; a write to one table entry never changes the mode.
            if (count == source.Vectors && Switch(suspended || closed ? Mode.None : Wanted(), drop: false))
            {
                Messages(mode)?.Refresh(0, int.MaxValue / 2);
            }
            else if (Messages(mode) is { } active && active.Vectors == source)
            {
                active.Refresh(first, count);
            }
        }
    }

    /// <inheritdoc/>
    public void CollectPending(IMessageVectors source, int first, int count)
    {
        lock (gate)
        {
            if (Messages(mode) is { } active && active.Vectors == source)
            {
                active.Collect(first, count);
            }
        }
    }

    private static VfioIrq? Find(IVfioDevice device, int index) => device.Irqs.FirstOrDefault(i => i.Index == index);

    private MessageInterrupts? Messages(Mode of) => of switch
    {
        Mode.Msi => msi,
        Mode.Msix => msix,
        _ => null,
    };

    private Mode Wanted()
    {
        if (msix is { Vectors.IsEnabled: true })
        {
            return Mode.Msix;
        }

        if (msi is { Vectors.IsEnabled: true })
        {
            return Mode.Msi;
        }

        bool routed = intxGsi is not null || function.IntxLine is not null;
        return hasIntx && routed && function.InterruptPin != 0 && (function.Command & PciCommand.InterruptDisable) == 0 ? Mode.Intx : Mode.None;
    }

    private bool Switch(Mode next, bool drop)
    {
        bool rerouted = mode == Mode.Intx && startedGsi != intxGsi;
        if (next == mode && !rerouted)
        {
            return false;
        }

        // VFIO has one kind enabled at a time.
        Messages(mode)?.Disable(drop);
        if (mode == Mode.Intx)
        {
            intx.Stop();
        }

        mode = next;
        if (mode == Mode.Intx)
        {
            startedGsi = intxGsi;
            mode = intx.Start(intxGsi) ? Mode.Intx : Mode.None;
        }

        return true;
    }
}
