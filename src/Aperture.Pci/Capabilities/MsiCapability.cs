using System.Numerics;
using Aperture.Pci.Registers;

namespace Aperture.Pci.Capabilities;

/// <summary>
/// Message signalled interrupts, id 0x05 (PCI Local Bus 3.0, section 6.8.1): 1 to 32 vectors, 32- or 64-bit address, optional masking for each vector.
/// A message that may not be sent now stays pending and goes out when it may. Thread-safe.
/// </summary>
public sealed class MsiCapability : StandardCapability, IMessageVectors
{
    /// <summary>Capability id.</summary>
    public const byte CapabilityId = 0x05;

    // Registers of section 6.8.1; where data, mask and pending bits are depends on the address' width.
    private const int Control = 0x02;
    private const int Address = 0x04;
    private const int UpperAddress = 0x08;
    private const int Data32 = 0x08;
    private const int Data64 = 0x0C;
    private const int MaskAndPendingSize = 8;

    // Message control.
    private const int VectorsAskedShift = 1;
    private const int VectorsGivenShift = 4;
    private const uint Enable = 1 << 0;
    private const uint VectorsGiven = 7 << VectorsGivenShift;
    private const uint Is64BitCapable = 1 << 7;
    private const uint MaskingCapable = 1 << 8;

    private const uint AddressWritable = 0xFFFF_FFFC;
    private const uint DataMask = 0xFFFF;

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
        : base(CapabilityId, SizeOf(is64Bit, isMaskable))
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
    public bool IsEnabled => (ControlWord & Enable) != 0;

    /// <summary>How many vectors the guest gave: at most <see cref="Vectors"/>.</summary>
    public int AllocatedVectors => Math.Min(1 << (int)((ControlWord & VectorsGiven) >> VectorsGivenShift), Vectors);

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

    /// <summary>Bytes of the capability in each of its four forms.</summary>
    public static int SizeOf(bool is64Bit, bool isMaskable) => (is64Bit ? Data64 : Data32) + (isMaskable ? 4 + MaskAndPendingSize : 2);

    private uint ControlWord => Config.Get(Offset) >> 16;

    private int DataRegister => Offset + (_is64Bit ? Data64 : Data32);

    private int MaskRegister => DataRegister + 4;

    private int PendingRegister => DataRegister + 8;

    /// <summary>The message of <paramref name="vector"/> as the guest programmed it.</summary>
    public MsiMessage Message(int vector)
    {
        ulong address = Config.Get(Offset + Address) | (_is64Bit ? (ulong)Config.Get(Offset + UpperAddress) << 32 : 0);
        uint low = (uint)AllocatedVectors - 1;
        return new MsiMessage(new GuestAddress(address), (Config.Get(DataRegister) & DataMask & ~low) | ((uint)vector & low));
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
        uint control = (uint)BitOperations.Log2((uint)Vectors) << VectorsAskedShift
            | (_is64Bit ? Is64BitCapable : 0) | (_isMaskable ? MaskingCapable : 0);
        Config.Define(Offset + Control, 2, control, writable: Enable | VectorsGiven);
        Config.Define(Offset + Address, 4, 0, writable: AddressWritable);
        if (_is64Bit)
        {
            Config.Define(Offset + UpperAddress, 4, 0, writable: uint.MaxValue);
        }

        Config.Define(DataRegister, 2, 0, writable: DataMask);
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
