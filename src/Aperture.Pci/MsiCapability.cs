using System.Numerics;

namespace Aperture.Pci;

/// <summary>
/// Message signalled interrupts, id 0x05 (PCI Local Bus 3.0, section 6.8.1): 1 to 32 vectors, 32- or 64-bit address, optional masking for each vector.
/// A message that may not be sent now stays pending and goes out when it may. Thread-safe.
/// </summary>
public sealed class MsiCapability : StandardCapability, IMessageVectors
{
    /// <summary>Capability id.</summary>
    public const byte CapabilityId = 0x05;

    private const uint EnableBit = 1u << 16;
    private readonly Lock _gate = new();
    private readonly bool _is64Bit;
    private readonly bool _isMaskable;

    // Guarded by _gate: vectors that were triggered and not sent.
    private uint _pending;

    /// <summary>Makes the capability.</summary>
    /// <param name="vectors">Vectors asked for: 1, 2, 4, 8, 16 or 32.</param>
    /// <param name="is64Bit">Whether the address has 64 bits.</param>
    /// <param name="isMaskable">Whether vectors can be masked one by one.</param>
    /// <exception cref="ArgumentOutOfRangeException">Any other number of vectors.</exception>
    public MsiCapability(int vectors, bool is64Bit = true, bool isMaskable = true)
        : base(CapabilityId, (is64Bit ? 0x0E : 0x0A) + (isMaskable ? 0x0A : 0))
    {
        if (!BitOperations.IsPow2(vectors) || vectors > 32)
        {
            throw new ArgumentOutOfRangeException(nameof(vectors), vectors, "MSI has 1, 2, 4, 8, 16 or 32 vectors");
        }

        Vectors = vectors;
        _is64Bit = is64Bit;
        _isMaskable = isMaskable;
    }

    /// <summary>How many vectors the function asks for.</summary>
    public int Vectors { get; }

    /// <summary>True while the guest has MSI on.</summary>
    public bool IsEnabled => (Config.Get(Offset) & EnableBit) != 0;

    /// <summary>How many vectors the guest gave: at most <see cref="Vectors"/>.</summary>
    public int AllocatedVectors => Math.Min(1 << (int)(Config.Get(Offset) >> 20 & 7), Vectors);

    /// <summary>The vectors that wait to be sent, one bit each.</summary>
    public uint Pending
    {
        get
        {
            lock (_gate)
            {
                return _pending;
            }
        }
    }

    /// <inheritdoc/>
    public IVectorListener? Listener { get; set; }

    /// <summary>Offset in bytes of the pending bits in configuration space; null when vectors cannot be masked.</summary>
    public int? PendingBitsRegister => _isMaskable ? PendingRegister : null;

    private int DataRegister => Offset + (_is64Bit ? 0x0C : 0x08);

    private int MaskRegister => DataRegister + 4;

    private int PendingRegister => DataRegister + 8;

    /// <summary>The message of <paramref name="vector"/> as the guest programmed it.</summary>
    public MsiMessage Message(int vector)
    {
        ulong address = Config.Get(Offset + 4) | (_is64Bit ? (ulong)Config.Get(Offset + 8) << 32 : 0);
        uint low = (uint)AllocatedVectors - 1;
        return new MsiMessage(new GuestAddress(address), (Config.Get(DataRegister) & 0xFFFF & ~low) | ((uint)vector & low));
    }

    /// <inheritdoc/>
    public bool MaySend(int vector, out MsiMessage message)
    {
        lock (_gate)
        {
            bool may = (uint)vector < (uint)AllocatedVectors && IsEnabled && Function.MayIssueRequests
                && (!_isMaskable || (Config.Get(MaskRegister) >> vector & 1) == 0);
            message = may ? Message(vector) : default;
            return may;
        }
    }

    /// <summary>
    /// Raises <paramref name="vector"/>; above what the guest allocated the numbers wrap, and outside <see cref="Vectors"/> nothing happens.
    /// Returns true when the message went out at once, false when it is pending or was ignored.
    /// </summary>
    public bool Trigger(int vector)
    {
        if ((uint)vector >= (uint)Vectors)
        {
            return false;
        }

        lock (_gate)
        {
            uint bit = 1u << (vector & (AllocatedVectors - 1));
            SetPending(_pending | bit);
            SendPending();
            return (_pending & bit) == 0;
        }
    }

    /// <inheritdoc/>
    protected override void Define()
    {
        uint control = (uint)BitOperations.Log2((uint)Vectors) << 1 | (_is64Bit ? 1u << 7 : 0) | (_isMaskable ? 1u << 8 : 0);
        Config.Define(Offset + 2, 2, control, writable: 0x0071);
        Config.Define(Offset + 4, 4, 0, writable: 0xFFFF_FFFC);
        if (_is64Bit)
        {
            Config.Define(Offset + 8, 4, 0, writable: uint.MaxValue);
        }

        Config.Define(DataRegister, 2, 0, writable: 0xFFFF);
        if (_isMaskable)
        {
            Config.Define(MaskRegister, 4, 0, writable: uint.MaxValue >> (32 - Vectors));
            Config.Define(PendingRegister, 4, 0);
        }
    }

    /// <inheritdoc/>
    protected internal override ConfigChange OnWritten(in RegisterWrite write)
    {
        if (write.Changed == 0)
        {
            return ConfigChange.None;
        }

        OnRequestPermissionChanged();
        return ConfigChange.Interrupts;
    }

    /// <inheritdoc/>
    protected internal override void OnReset(ResetKind kind)
    {
        lock (_gate)
        {
            SetPending(0);
        }
    }

    /// <inheritdoc/>
    protected internal override void OnRequestPermissionChanged()
    {
        Listener?.CollectPending(this, 0, Vectors);
        lock (_gate)
        {
            SendPending();
        }

        Listener?.VectorsChanged(this, 0, Vectors);
    }

    private void SendPending()
    {
        // Vectors raised while more were allocated fold like new ones do.
        uint waiting = _pending;
        for (int width = 16; width >= AllocatedVectors; width >>= 1)
        {
            waiting = (waiting | waiting >> width) & ((1u << width) - 1);
        }

        if (waiting != _pending)
        {
            SetPending(waiting);
        }

        uint sendable = waiting & ~(_isMaskable ? Config.Get(MaskRegister) : 0);
        if (sendable == 0 || !IsEnabled || !Function.MayIssueRequests)
        {
            return;
        }

        SetPending(waiting & ~sendable);
        IMsiSink? sink = Function.EffectiveMsiSink;
        for (; sendable != 0; sendable &= sendable - 1)
        {
            sink?.Send(Function.Bdf, Message(BitOperations.TrailingZeroCount(sendable)));
        }
    }

    private void SetPending(uint value)
    {
        _pending = value;
        if (_isMaskable)
        {
            Config.Set(PendingRegister, value);
        }
    }
}
