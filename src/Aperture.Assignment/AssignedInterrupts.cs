using Aperture.Hypervisor;
using Aperture.Pci.Capabilities;
using Aperture.Pci.Registers;

namespace Aperture.Assignment;

/// <summary>
/// Keeps the one kind of interrupt that a device has enabled in the host at what the guest's registers ask for: MSI-X, else MSI, else INTx unless it is
/// disabled or the function is in D3hot, or none. Thread-safe.
/// </summary>
internal sealed class AssignedInterrupts : IVectorListener
{
    private readonly AssignedFunction _function;
    private readonly Lock _gate = new();
    private readonly MessageInterrupts? _msi;
    private readonly MessageInterrupts? _msix;
    private readonly IntxDelivery _intx;
    private readonly bool _hasIntx;
    private Mode _mode;
    private uint? _intxGsi;
    private uint? _intxIsa;
    private (uint? Gsi, uint? Isa) _started;
    private bool _suspended;
    private bool _closed;

    /// <summary>Takes over the interrupts of a device whose capabilities are already on <paramref name="function"/>.</summary>
    public AssignedInterrupts(
        AssignedFunction function, IVfioDevice device, IGuestInterrupts guest, DeviceWatch watch, IntxDelivery intx, Action<int, int> failed)
    {
        _function = function;
        _intx = intx;
        _hasIntx = Find(device, VfioIrqIndex.Intx) is { Count: > 0 };
        _msi = Make(function.Find<MsiCapability>(), VfioIrqIndex.Msi);
        _msix = Make(function.Find<MsixCapability>(), VfioIrqIndex.Msix);

        MessageInterrupts? Make(IMessageVectors? vectors, int index)
        {
            if (vectors is null || Find(device, index) is not { } irq)
            {
                return null;
            }

            vectors.Listener = this;
            return new MessageInterrupts(device, guest, watch, irq, vectors, () => function.Bdf, failed);
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
        get => _intxGsi;
        set
        {
            lock (_gate)
            {
                _intxGsi = value;
            }

            Update();
        }
    }

    /// <summary>The input of the 8259s that INTx reaches as well; null for none.</summary>
    public uint? IntxIsa
    {
        get => _intxIsa;
        set
        {
            lock (_gate)
            {
                _intxIsa = value;
            }

            Update();
        }
    }

    /// <summary>How many vectors, INTx included, are delivered by this process instead of the hypervisor.</summary>
    public int Relayed
    {
        get
        {
            lock (_gate)
            {
                return (_msi?.Relayed ?? 0) + (_msix?.Relayed ?? 0) + (_intx.IsRelayed ? 1 : 0);
            }
        }
    }

    /// <summary>Brings everything to what the registers say.</summary>
    public void Update()
    {
        lock (_gate)
        {
            Switch(_suspended || _closed ? Mode.None : Wanted(), drop: false);
            Messages(_mode)?.Refresh(0, int.MaxValue / 2);
        }
    }

    /// <summary>Turns everything off and drops what is pending, until <see cref="Resume"/>: the device is being reset.</summary>
    public void Suspend()
    {
        lock (_gate)
        {
            _suspended = true;
            Switch(Mode.None, drop: true);
        }
    }

    /// <summary>Ends <see cref="Suspend"/>.</summary>
    public void Resume()
    {
        lock (_gate)
        {
            _suspended = false;
        }

        Update();
    }

    /// <summary>Turns everything off for good.</summary>
    public void Stop()
    {
        lock (_gate)
        {
            _closed = true;
            Switch(Mode.None, drop: true);
        }
    }

    /// <summary>Closes what is open; after <see cref="Stop"/> and the watch's end.</summary>
    public void Close()
    {
        _msi?.Close();
        _msix?.Close();
        _intx.Close();
    }

    /// <summary>Before the guest reads MSI's pending bits.</summary>
    public void CollectMsi()
    {
        if (_msi is not null)
        {
            CollectPending(_msi.Vectors, 0, _msi.Vectors.Vectors);
        }
    }

    /// <inheritdoc/>
    public void VectorsChanged(IMessageVectors source, int first, int count)
    {
        lock (_gate)
        {
            // Enabling comes with every vector; a write to one table entry never changes the mode.
            if (count == source.Vectors && Switch(_suspended || _closed ? Mode.None : Wanted(), drop: false))
            {
                Messages(_mode)?.Refresh(0, int.MaxValue / 2);
            }
            else if (Messages(_mode) is { } active && active.Vectors == source)
            {
                active.Refresh(first, count);
            }
        }
    }

    /// <inheritdoc/>
    public void CollectPending(IMessageVectors source, int first, int count)
    {
        lock (_gate)
        {
            if (Messages(_mode) is { } active && active.Vectors == source)
            {
                active.Collect(first, count);
            }
        }
    }

    private static VfioIrq? Find(IVfioDevice device, int index) => device.Irqs.FirstOrDefault(i => i.Index == index);

    private MessageInterrupts? Messages(Mode of) => of switch
    {
        Mode.Msi => _msi,
        Mode.Msix => _msix,
        _ => null,
    };

    private Mode Wanted()
    {
        if (_msix is { Vectors.IsEnabled: true })
        {
            return Mode.Msix;
        }

        if (_msi is { Vectors.IsEnabled: true })
        {
            return Mode.Msi;
        }

        bool routed = _intxGsi is not null || _function.IntxLine is not null;
        bool allowed = _function.InterruptPin != 0 && _function.IsInD0 && (_function.Command & PciCommand.InterruptDisable) == 0;
        return _hasIntx && routed && allowed ? Mode.Intx : Mode.None;
    }

    private bool Switch(Mode next, bool drop)
    {
        bool rerouted = _mode == Mode.Intx && _started != (_intxGsi, _intxIsa);
        if (next == _mode && !rerouted)
        {
            return false;
        }

        // VFIO has one kind enabled at a time.
        Messages(_mode)?.Disable(drop);
        if (_mode == Mode.Intx)
        {
            _intx.Stop();
        }

        _mode = next;
        if (_mode == Mode.Intx)
        {
            _started = (_intxGsi, _intxIsa);
            _mode = _intx.Start(_intxGsi, _intxIsa) ? Mode.Intx : Mode.None;
        }

        return true;
    }
}
