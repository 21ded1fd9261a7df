namespace Aperture.Memory.Tests;

/// <summary>
/// A small space full of seams and its byte-by-byte model: devices, RAM, ROM (watched and not), gaps, most of them at odd addresses. Addresses count
/// from <see cref="Origin"/>.
/// </summary>
internal sealed class Patchwork : IDisposable
{
    public const ulong Origin = 0x1_0000;
    public const int Length = 64;

    private readonly RamBlock _ram = RamBlock.Create("patchwork", 4096);
    private readonly List<(ByteDevice Device, int Start)> _devices = [];

    public Patchwork()
    {
        Space = AddressSpace.ForMemory();
        Unclaimed = new UnclaimedLog();
        Dispatcher = new Dispatcher(Space, Unclaimed);
        Watcher = new ByteDevice(6) { Base = Origin + 40 };
        using AddressChange change = Space.Begin();
        Device(change, "d1", 0, 5);
        Put(change, Region.ForRam("ram1", _ram, 3, 9), 5);
        Device(change, "d2", 14, 1);
        Device(change, "d3", 15, 1);
        Put(change, Region.ForRam("ram2", _ram, 64, 16), 16);
        Put(change, Region.ForRom("rom", _ram, 100, 5), 33);
        Put(change, Region.ForRom("watched", _ram, 120, 6, Watcher), 40);
        Own = Device(change, "own", 48, 6);
        Device(change, "d4", 54, 10);
        change.Commit();
        Random random = new(7);
        for (int i = 0; i < Length; i++)
        {
            if (Backing(i) is { } bytes)
            {
                bytes[0] = (byte)random.Next(256);
            }
        }
    }

    public AddressSpace Space { get; }

    public UnclaimedLog Unclaimed { get; }

    public Dispatcher Dispatcher { get; }

    public ByteDevice Watcher { get; }

    public Region Own { get; }

    public static GuestAddress At(int offset) => new(Origin + (ulong)offset);

    public bool IsRam(int offset) => Owner(offset)?.Ram is not null;

    public bool IsReadOnly(int offset) => Owner(offset)?.IsReadOnly ?? false;

    public Region? Owner(int offset)
    {
        foreach (Placement placement in Space.Placements)
        {
            if (At(offset) >= placement.Range.Start && At(offset) <= placement.Range.Last)
            {
                return placement.Region;
            }
        }

        return null;
    }

    /// <summary>The byte a read finds; null where nothing answers.</summary>
    public byte? Peek(int offset) => Backing(offset) is { } bytes ? bytes[0] : null;

    /// <summary>All bytes as reads find them and the watcher's, for comparing before and after.</summary>
    public byte?[] Snapshot() => [.. Enumerable.Range(0, Length).Select(Peek), .. Watcher.Bytes];

    public string? Violation => _devices.Select(entry => entry.Device).Append(Watcher).FirstOrDefault(device => device.Violation is not null)?.Violation;

    public void Dispose()
    {
        Space.Dispose();
        _ram.Dispose();
    }

    private Region Device(AddressChange change, string name, int start, int size)
    {
        ByteDevice device = new(size) { Base = Origin + (ulong)start };
        _devices.Add((device, start));
        return Put(change, Region.Trapped(name, (ulong)size, device), start);
    }

    private static Region Put(AddressChange change, Region region, int start)
    {
        change.Place(region, At(start), 0);
        return region;
    }

    private Span<byte> BackingOf(Placement placement, int offset)
    {
        int inside = (int)(At(offset) - placement.Range.Start);
        if (placement.Region.Ram is { } ram)
        {
            return ram.AsSpan(placement.Region.RamOffset + (ulong)inside, 1);
        }

        ByteDevice device = _devices.First(entry => At(entry.Start) == placement.Range.Start).Device;
        return device.Bytes.AsSpan(inside, 1);
    }

    private ByteCell? Backing(int offset)
    {
        foreach (Placement placement in Space.Placements)
        {
            if (placement.Region == Owner(offset))
            {
                return new ByteCell(this, placement, offset);
            }
        }

        return null;
    }

    private sealed class ByteCell(Patchwork patchwork, Placement placement, int offset)
    {
        public byte this[int index]
        {
            get => patchwork.BackingOf(placement, offset)[index];
            set => patchwork.BackingOf(placement, offset)[index] = value;
        }
    }
}
