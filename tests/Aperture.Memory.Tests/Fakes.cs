namespace Aperture.Memory.Tests;

/// <summary>A device of plain bytes. Checks that each access keeps the handler's contract and counts them; can refuse everything.</summary>
internal sealed class ByteDevice(int size) : IAccessHandler
{
    public byte[] Bytes { get; } = new byte[size];

    /// <summary>Where the device sits, so that natural alignment can be checked on the guest's address.</summary>
    public ulong Base { get; set; }

    public bool Refuses { get; set; }

    public int Accesses { get; private set; }

    public string? Violation { get; private set; }

    public AccessResult Read(ulong offset, int size, out ulong value)
    {
        value = 0;
        if (!Accept(offset, size))
        {
            return AccessResult.Unclaimed;
        }

        for (int i = size - 1; i >= 0; i--)
        {
            value = value << 8 | Bytes[(int)offset + i];
        }

        return AccessResult.Ok;
    }

    public AccessResult Write(ulong offset, int size, ulong value)
    {
        if (!Accept(offset, size))
        {
            return AccessResult.Unclaimed;
        }

        for (int i = 0; i < size; i++)
        {
            Bytes[(int)offset + i] = (byte)(value >> (8 * i));
        }

        return AccessResult.Ok;
    }

    private bool Accept(ulong offset, int size)
    {
        Accesses++;
        if (size is not (1 or 2 or 4 or 8) || offset + (ulong)size > (ulong)Bytes.Length || (Base + offset) % (ulong)size != 0)
        {
            Violation ??= $"{size} bytes at offset {offset}";
            return false;
        }

        return !Refuses;
    }
}

/// <summary>A hypervisor's slot table with KVM's rules: whole pages, no overlap, no refill of a full slot. Fails on demand.</summary>
internal sealed class FakeSlots(int maxSlots) : IMemorySlotBackend
{
    public const int Einval = 22;
    public const int Eexist = 17;
    public const int Enomem = 12;

    public SortedDictionary<int, MemorySlot> Table { get; } = [];

    public List<string> Calls { get; } = [];

    /// <summary>Asked before each call that would succeed; true makes it fail with ENOMEM.</summary>
    public Func<bool, bool> Fails { get; set; } = static _ => false;

    public int MaxSlots => maxSlots;

    public int Refusals { get; private set; }

    public int Set(int id, in MemorySlot slot)
    {
        Calls.Add($"+{slot.Range}");
        AddressRange range = slot.Range;
        if (id < 0 || id >= maxSlots || Table.ContainsKey(id) || range.IsEmpty
            || ((range.Start.Value | range.Size | slot.Host.Value) & 0xFFF) != 0)
        {
            Refusals++;
            return Einval;
        }

        if (Table.Values.Any(other => other.Range.Overlaps(range)))
        {
            Refusals++;
            return Eexist;
        }

        if (Fails(true))
        {
            return Enomem;
        }

        Table.Add(id, slot);
        return 0;
    }

    public int Delete(int id)
    {
        Calls.Add(Table.TryGetValue(id, out MemorySlot slot) ? $"-{slot.Range}" : $"-{id}?");
        if (Table.ContainsKey(id) && Fails(false))
        {
            return Enomem;
        }

        if (!Table.Remove(id))
        {
            Refusals++;
            return Einval;
        }

        return 0;
    }
}

internal sealed class RecordingListener(Action<FlatView, FlatView, FlatViewDiff>? onCommit = null) : IFlatViewListener
{
    public List<(FlatView Old, FlatView Next, FlatViewDiff Diff)> Commits { get; } = [];

    public void Commit(FlatView old, FlatView next, FlatViewDiff diff)
    {
        Commits.Add((old, next, diff));
        onCommit?.Invoke(old, next, diff);
    }
}

internal sealed class FakeBarrier : IViewBarrier, IDisposable
{
    public int Stops { get; private set; }

    public bool IsStopped { get; private set; }

    public IDisposable StopVcpus()
    {
        Stops++;
        IsStopped = true;
        return this;
    }

    public void Dispose() => IsStopped = false;
}
