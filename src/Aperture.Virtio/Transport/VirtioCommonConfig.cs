namespace Aperture.Virtio.Transport;

/// <summary>What the common configuration asks of the function around it. Called without the registers' lock.</summary>
internal interface IVirtioCommonEvents
{
    /// <summary>The driver wrote status 0: the registers are back at their defaults.</summary>
    void DriverReset();

    /// <summary>The driver set DRIVER_OK.</summary>
    void DriverReady();

    /// <summary>DEVICE_NEEDS_RESET was set.</summary>
    void NeedsReset();
}

/// <summary>
/// The common configuration structure (VIRTIO 1.2, section 4.1.4.3): features, status and the registers of the queues. Guarded by one lock,
/// under which nothing is called.
/// </summary>
internal sealed class VirtioCommonConfig : IAccessHandler, IWordRegisters
{
    private readonly Lock _gate = new();
    private readonly ulong _offered;
    private readonly ushort _largestQueue;
    private readonly int _vectors;
    private readonly IVirtioCommonEvents _events;
    private readonly Queue[] _queues;

    private uint _deviceSelect;
    private uint _driverSelect;
    private ulong _driverFeatures;
    private ushort _configVector = VirtioLayout.NoVector;
    private ushort _select;
    private VirtioStatus _status;

    /// <summary>Makes the registers in their reset state.</summary>
    /// <param name="offered">Features, the transport's included.</param>
    /// <param name="queues">How many queues.</param>
    /// <param name="largestQueue">Most descriptors in one.</param>
    /// <param name="events">Whom to tell.</param>
    public VirtioCommonConfig(ulong offered, int queues, ushort largestQueue, IVirtioCommonEvents events)
    {
        (_offered, _largestQueue, _events) = (offered, largestQueue, events);
        _vectors = queues + 1;
        _queues = new Queue[queues];
        Clear();
    }

    private enum Outcome
    {
        Nothing,
        Reset,
        Ready,
        Broken,
    }

    // The registers of one queue.
    private record struct Queue(ushort Size, ushort Vector, bool Enabled, ulong Descriptors, ulong Driver, ulong Device);

    /// <summary>The vector of configuration changes.</summary>
    public ushort ConfigVector
    {
        get
        {
            lock (_gate)
            {
                return _configVector;
            }
        }
    }

    /// <summary>The vector of a queue.</summary>
    public ushort QueueVector(int queue)
    {
        lock (_gate)
        {
            return _queues[queue].Vector;
        }
    }

    /// <summary>The setup of <paramref name="queue"/> and the features agreed on; false unless the device runs and the queue is enabled.</summary>
    public bool TryGetRunning(int queue, out QueueSetup setup, out ulong features)
    {
        lock (_gate)
        {
            ref Queue q = ref _queues[queue];
            setup = SetupOf(q);
            features = _driverFeatures;
            return _status.IsRunning && q.Enabled;
        }
    }

    /// <summary>Sets DEVICE_NEEDS_RESET. True when it was not set and the driver is to be told.</summary>
    public bool Break()
    {
        lock (_gate)
        {
            bool tell = _status.IsRunning;
            _status = new VirtioStatus((byte)(_status.Value | VirtioStatus.NeedsResetBit));
            return tell;
        }
    }

    /// <summary>Back to the defaults.</summary>
    public void Reset()
    {
        lock (_gate)
        {
            Clear();
        }
    }

    /// <inheritdoc/>
    public AccessResult Read(ulong offset, int size, out ulong value) => AccessLanes.ReadWords(this, VirtioLayout.CommonLength, offset, size, out value);

    /// <inheritdoc/>
    public AccessResult Write(ulong offset, int size, ulong value) => AccessLanes.WriteWords(this, VirtioLayout.CommonLength, offset, size, value);

    uint IWordRegisters.ReadWord(ulong offset, uint lanes)
    {
        lock (_gate)
        {
            return ReadWord((uint)offset);
        }
    }

    void IWordRegisters.WriteWord(ulong offset, uint value, uint lanes)
    {
        Outcome outcome;
        lock (_gate)
        {
            outcome = WriteWord((uint)offset, (ReadWord((uint)offset) & ~lanes) | (value & lanes), lanes);
        }

        switch (outcome)
        {
            case Outcome.Reset:
                _events.DriverReset();
                break;
            case Outcome.Ready:
                _events.DriverReady();
                break;
            case Outcome.Broken:
                _events.NeedsReset();
                break;
            default:
                break;
        }
    }

    private static QueueSetup SetupOf(Queue q) => new(q.Size, q.Descriptors, q.Driver, q.Device);

    private static uint Half(ulong features, uint select) => select > 1 ? 0 : (uint)(features >> (int)(32 * select));

    private static uint Word(ulong value, uint offset) => (uint)(value >> (int)(8 * (offset & 4)));

    private static ulong Merge(ulong value, uint offset, uint word)
    {
        int shift = (int)(8 * (offset & 4));
        return (value & ~(0xFFFF_FFFFUL << shift)) | ((ulong)word << shift);
    }

    private void Clear()
    {
        (_deviceSelect, _driverSelect, _driverFeatures) = (0, 0, 0);
        (_configVector, _select, _status) = (VirtioLayout.NoVector, 0, default);
        Array.Fill(_queues, new Queue(_largestQueue, VirtioLayout.NoVector, false, 0, 0, 0));
    }

    private uint ReadWord(uint offset)
    {
        // A queue that does not exist has size 0 (section 4.1.4.3.1).
        Queue q = _select < _queues.Length ? _queues[_select] : default;
        return (offset & ~3u) switch
        {
            VirtioCommonRegister.DeviceFeatureSelect => _deviceSelect,
            VirtioCommonRegister.DeviceFeature => Half(_offered, _deviceSelect),
            VirtioCommonRegister.DriverFeatureSelect => _driverSelect,
            VirtioCommonRegister.DriverFeature => Half(_driverFeatures, _driverSelect),
            VirtioCommonRegister.ConfigVectorAndQueues => _configVector | (uint)_queues.Length << 16,
            VirtioCommonRegister.StatusAndSelect => _status.Value | (uint)_select << 16,
            VirtioCommonRegister.QueueSizeAndVector => q.Size | (uint)q.Vector << 16,
            VirtioCommonRegister.QueueEnableAndNotify => (q.Enabled ? 1u : 0) | (uint)_select << 16,
            VirtioCommonRegister.QueueDescriptors or VirtioCommonRegister.QueueDescriptors + 4 => Word(q.Descriptors, offset),
            VirtioCommonRegister.QueueDriver or VirtioCommonRegister.QueueDriver + 4 => Word(q.Driver, offset),
            VirtioCommonRegister.QueueDevice or VirtioCommonRegister.QueueDevice + 4 => Word(q.Device, offset),
            _ => 0,
        };
    }

    // value is the whole word as it would be; lanes says which of its bytes were written.
    private Outcome WriteWord(uint offset, uint value, uint lanes)
    {
        bool low = (lanes & 0xFFFF) != 0;
        bool high = (lanes & 0xFFFF_0000) != 0;
        switch (offset)
        {
            case VirtioCommonRegister.DeviceFeatureSelect:
                _deviceSelect = value;
                break;
            case VirtioCommonRegister.DriverFeatureSelect:
                _driverSelect = value;
                break;
            case VirtioCommonRegister.DriverFeature when _driverSelect <= 1 && !_status.AreFeaturesFixed:
                _driverFeatures = Merge(_driverFeatures, 4 * _driverSelect, value);
                break;
            case VirtioCommonRegister.ConfigVectorAndQueues when low:
                _configVector = VectorOf((ushort)value);
                break;
            case VirtioCommonRegister.StatusAndSelect:
                _select = high ? (ushort)(value >> 16) : _select;
                return (lanes & 0xFF) != 0 ? WriteStatus((byte)value) : Outcome.Nothing;
            case >= VirtioCommonRegister.QueueSizeAndVector when _select < _queues.Length:
                return WriteQueue(ref _queues[_select], offset, value, low, high);
            default:
                break;
        }

        return Outcome.Nothing;
    }

    private Outcome WriteQueue(ref Queue q, uint offset, uint value, bool low, bool high)
    {
        switch (offset)
        {
            case VirtioCommonRegister.QueueSizeAndVector:
                q.Vector = high ? VectorOf((ushort)(value >> 16)) : q.Vector;
                q.Size = low && !q.Enabled ? (ushort)value : q.Size;
                break;
            case VirtioCommonRegister.QueueEnableAndNotify when low && (value & 0xFFFF) == 1 && !q.Enabled:
                q.Enabled = SetupOf(q).IsSane(_largestQueue);
                if (!q.Enabled)
                {
                    _status = new VirtioStatus((byte)(_status.Value | VirtioStatus.NeedsResetBit));
                    return Outcome.Broken;
                }

                break;
            case VirtioCommonRegister.QueueDescriptors or VirtioCommonRegister.QueueDescriptors + 4 when !q.Enabled:
                q.Descriptors = Merge(q.Descriptors, offset, value);
                break;
            case VirtioCommonRegister.QueueDriver or VirtioCommonRegister.QueueDriver + 4 when !q.Enabled:
                q.Driver = Merge(q.Driver, offset, value);
                break;
            case VirtioCommonRegister.QueueDevice or VirtioCommonRegister.QueueDevice + 4 when !q.Enabled:
                q.Device = Merge(q.Device, offset, value);
                break;
            default:
                break;
        }

        return Outcome.Nothing;
    }

    // A vector that cannot be given reads back as none (section 4.1.5.1.2.1).
    private ushort VectorOf(ushort wanted) => wanted < _vectors ? wanted : VirtioLayout.NoVector;

    private Outcome WriteStatus(byte value)
    {
        if (value == 0)
        {
            Clear();
            return Outcome.Reset;
        }

        byte next = (byte)(_status.Value | (value & VirtioStatus.DriverBits));
        bool acceptable = (_driverFeatures & ~_offered) == 0 && (_driverFeatures & VirtioFeatures.Version1) != 0;
        if (!_status.AreFeaturesFixed && !acceptable)
        {
            next &= unchecked((byte)~VirtioStatus.FeaturesOkBit);
        }

        // Without agreed features the device does not start (section 3.1.1).
        if ((next & VirtioStatus.FeaturesOkBit) == 0)
        {
            next &= unchecked((byte)~VirtioStatus.DriverOkBit);
        }

        bool wasRunning = _status.IsRunning;
        _status = new VirtioStatus(next);
        return !wasRunning && _status.IsRunning ? Outcome.Ready : Outcome.Nothing;
    }
}
