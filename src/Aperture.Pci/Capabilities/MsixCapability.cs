using System.Numerics;
using Aperture.Pci.Registers;

namespace Aperture.Pci.Capabilities;

/// <summary>
/// MSI-X, id 0x11 (PCI Local Bus 3.0, section 6.8.2): up to 2048 vectors, each with its own message and mask in a table that lies in a BAR, and
/// pending bits in another array there. The device puts <see cref="Table"/> and <see cref="PendingBits"/> at the offsets given here.
/// A message that may not be sent now stays pending and goes out when it may. Thread-safe.
/// </summary>
public sealed class MsixCapability : StandardCapability, IMessageVectors
{
    /// <summary>Capability id.</summary>
    public const byte CapabilityId = 0x11;

    /// <summary>Bytes of one table entry.</summary>
    public const int EntrySize = 16;

    /// <summary>Bytes of the capability.</summary>
    public const int Size = 12;

    /// <summary>The most vectors that the table size field can name.</summary>
    public const int MostVectors = 2048;

    /// <summary>The bits of a table or pending word that name the BAR; the others are the offset in it.</summary>
    public const uint BarMask = 7;

    // Registers of section 6.8.2.
    private const int Control = 0x02;
    private const int TablePlace = 0x04;
    private const int PendingPlace = 0x08;

    // Message control, in the upper half of the first word.
    private const uint EnableBit = 1u << 31;
    private const uint FunctionMaskBit = 1u << 30;
    private const uint ControlWritable = (EnableBit | FunctionMaskBit) >> 16;

    // A table entry: address, upper address, data, vector control.
    private const uint AddressWritable = 0xFFFF_FFFC;
    private const uint VectorMaskBit = 1;

    private readonly Lock _gate = new();
    private readonly (int Bar, uint Offset) _tablePlace;
    private readonly (int Bar, uint Offset) _pendingPlace;

    // Guarded by _gate: four words an entry (address, upper address, data, vector control), and one pending bit a vector.
    private readonly uint[] _table;
    private readonly ulong[] _pending;

    /// <summary>Makes the capability.</summary>
    /// <param name="vectors">1 to 2048.</param>
    /// <param name="tableBar">Index of the BAR that holds the table.</param>
    /// <param name="tableOffset">Offset of the table in that BAR, a multiple of 8.</param>
    /// <param name="pendingBar">Index of the BAR that holds the pending bits.</param>
    /// <param name="pendingOffset">Offset of the pending bits in that BAR, a multiple of 8.</param>
    /// <exception cref="ArgumentOutOfRangeException">A number outside these.</exception>
    public MsixCapability(int vectors, int tableBar, uint tableOffset, int pendingBar, uint pendingOffset)
        : base(CapabilityId, Size)
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(vectors);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(vectors, MostVectors);
        ArgumentOutOfRangeException.ThrowIfGreaterThan((uint)tableBar, 5u, nameof(tableBar));
        ArgumentOutOfRangeException.ThrowIfGreaterThan((uint)pendingBar, 5u, nameof(pendingBar));
        ArgumentOutOfRangeException.ThrowIfNotEqual(tableOffset & BarMask, 0u, nameof(tableOffset));
        ArgumentOutOfRangeException.ThrowIfNotEqual(pendingOffset & BarMask, 0u, nameof(pendingOffset));
        Vectors = vectors;
        _tablePlace = (tableBar, tableOffset);
        _pendingPlace = (pendingBar, pendingOffset);
        _table = new uint[vectors * 4];
        _pending = new ulong[(vectors + 63) / 64];
        MaskAll();
        Table = new TableWindow(this);
        PendingBits = new PendingWindow(this);
    }

    /// <summary>How many vectors.</summary>
    public int Vectors { get; }

    /// <inheritdoc/>
    public IVectorListener? Listener { get; set; }

    /// <summary>Index of the BAR that holds the table.</summary>
    public int TableBar => _tablePlace.Bar;

    /// <summary>Offset of the table in that BAR.</summary>
    public uint TableOffset => _tablePlace.Offset;

    /// <summary>Index of the BAR that holds the pending bits.</summary>
    public int PendingBar => _pendingPlace.Bar;

    /// <summary>Offset of the pending bits in that BAR.</summary>
    public uint PendingOffset => _pendingPlace.Offset;

    /// <summary>Bytes of the table.</summary>
    public int TableSize => Vectors * EntrySize;

    /// <summary>Bytes of the pending bit array.</summary>
    public int PendingSize => _pending.Length * 8;

    /// <summary>The table's registers, offsets from its start: 4- and 8-byte aligned accesses; others are unclaimed.</summary>
    public IAccessHandler Table { get; }

    /// <summary>The pending bits, offsets from their start: 4- and 8-byte aligned reads; writes do nothing.</summary>
    public IAccessHandler PendingBits { get; }

    /// <summary>True while the guest has MSI-X on.</summary>
    public bool IsEnabled => (Config.Get(Offset) & EnableBit) != 0;

    /// <summary>True when <paramref name="vector"/>'s pending bit is set.</summary>
    public bool IsPending(int vector)
    {
        lock (_gate)
        {
            return (uint)vector < (uint)Vectors && (_pending[vector >> 6] >> (vector & 63) & 1) != 0;
        }
    }

    /// <summary>True when <paramref name="vector"/>'s own mask bit is set.</summary>
    public bool IsMasked(int vector)
    {
        lock (_gate)
        {
            return (uint)vector < (uint)Vectors && (_table[(vector * 4) + 3] & VectorMaskBit) != 0;
        }
    }

    /// <summary>The message of <paramref name="vector"/> as the guest programmed it.</summary>
    /// <exception cref="ArgumentOutOfRangeException">No such vector.</exception>
    public MsiMessage Message(int vector)
    {
        ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual((uint)vector, (uint)Vectors, nameof(vector));
        lock (_gate)
        {
            return MessageOf(vector);
        }
    }

    /// <inheritdoc/>
    public bool MaySend(int vector, out MsiMessage message)
    {
        lock (_gate)
        {
            bool may = (uint)vector < (uint)Vectors && IsSendable(vector);
            message = may ? MessageOf(vector) : default;
            return may;
        }
    }

    /// <summary>
    /// Raises <paramref name="vector"/>; a number outside the table does nothing. Returns true when the message went out at once, false when it is
    /// pending or was ignored.
    /// </summary>
    public bool Trigger(int vector)
    {
        if ((uint)vector >= (uint)Vectors)
        {
            return false;
        }

        lock (_gate)
        {
            _pending[vector >> 6] |= 1UL << (vector & 63);
            return SendIfAllowed(vector);
        }
    }

    /// <inheritdoc/>
    protected override void Define()
    {
        Config.Define(Offset + Control, 2, (uint)Vectors - 1, writable: ControlWritable);
        Config.Define(Offset + TablePlace, 4, _tablePlace.Offset | (uint)_tablePlace.Bar);
        Config.Define(Offset + PendingPlace, 4, _pendingPlace.Offset | (uint)_pendingPlace.Bar);
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
            Array.Clear(_pending);
            Array.Clear(_table);
            MaskAll();
        }
    }

    /// <inheritdoc/>
    protected internal override void OnRequestPermissionChanged()
    {
        Listener?.CollectPending(this, 0, Vectors);
        lock (_gate)
        {
            for (int word = 0; word < _pending.Length; word++)
            {
                for (ulong bits = _pending[word]; bits != 0; bits &= bits - 1)
                {
                    SendIfAllowed((word * 64) + BitOperations.TrailingZeroCount(bits));
                }
            }
        }

        Listener?.VectorsChanged(this, 0, Vectors);
    }

    private void MaskAll()
    {
        for (int word = 3; word < _table.Length; word += 4)
        {
            _table[word] = VectorMaskBit;
        }
    }

    private MsiMessage MessageOf(int vector) =>
        new(new GuestAddress(_table[vector * 4] | (ulong)_table[(vector * 4) + 1] << 32), _table[(vector * 4) + 2]);

    private bool IsSendable(int vector) =>
        (Config.Get(Offset) & (EnableBit | FunctionMaskBit)) == EnableBit
        && (_table[(vector * 4) + 3] & VectorMaskBit) == 0
        && Function.MayIssueRequests;

    private bool SendIfAllowed(int vector)
    {
        if (!IsSendable(vector))
        {
            return false;
        }

        _pending[vector >> 6] &= ~(1UL << (vector & 63));
        Function.EffectiveMsiSink?.Send(Function.Bdf, MessageOf(vector));
        return true;
    }

    private void WriteTable(int word, uint value)
    {
        // The address is a multiple of 4; of the vector control only the mask bit exists.
        uint writable = (word & 3) switch
        {
            0 => AddressWritable,
            3 => VectorMaskBit,
            _ => uint.MaxValue,
        };
        _table[word] = value & writable;
    }

    private void SendIfUnmasked(int vector)
    {
        if ((_pending[vector >> 6] >> (vector & 63) & 1) != 0)
        {
            SendIfAllowed(vector);
        }
    }

    private static bool IsRegister(ulong offset, int size, int length) =>
        size is 4 or 8 && (offset & (ulong)(size - 1)) == 0 && offset < (ulong)length && (ulong)length - offset >= (ulong)size;

    private sealed class TableWindow(MsixCapability owner) : IAccessHandler
    {
        public AccessResult Read(ulong offset, int size, out ulong value)
        {
            if (!IsRegister(offset, size, owner.TableSize))
            {
                value = AccessWidth.AllOnes(size);
                return AccessResult.Unclaimed;
            }

            int word = (int)(offset >> 2);
            lock (owner._gate)
            {
                value = owner._table[word] | (size == 8 ? (ulong)owner._table[word + 1] << 32 : 0);
            }

            return AccessResult.Ok;
        }

        public AccessResult Write(ulong offset, int size, ulong value)
        {
            if (!IsRegister(offset, size, owner.TableSize))
            {
                return AccessResult.Unclaimed;
            }

            int word = (int)(offset >> 2);
            owner.Listener?.CollectPending(owner, word >> 2, 1);
            lock (owner._gate)
            {
                owner.WriteTable(word, (uint)value);
                if (size == 8)
                {
                    owner.WriteTable(word + 1, (uint)(value >> 32));
                }

                owner.SendIfUnmasked(word >> 2);
            }

            owner.Listener?.VectorsChanged(owner, word >> 2, 1);

            return AccessResult.Ok;
        }
    }

    private sealed class PendingWindow(MsixCapability owner) : IAccessHandler
    {
        public AccessResult Read(ulong offset, int size, out ulong value)
        {
            if (!IsRegister(offset, size, owner.PendingSize))
            {
                value = AccessWidth.AllOnes(size);
                return AccessResult.Unclaimed;
            }

            owner.Listener?.CollectPending(owner, (int)(offset >> 3) * 64, 64);
            lock (owner._gate)
            {
                ulong bits = owner._pending[(int)(offset >> 3)];
                value = size == 8 ? bits : (uint)(bits >> (8 * (int)(offset & 4)));
            }

            return AccessResult.Ok;
        }

        public AccessResult Write(ulong offset, int size, ulong value) =>
            IsRegister(offset, size, owner.PendingSize) ? AccessResult.Ok : AccessResult.Unclaimed;
    }
}
