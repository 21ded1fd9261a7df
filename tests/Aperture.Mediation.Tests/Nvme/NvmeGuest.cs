using System.Buffers.Binary;
using Aperture.Memory;

namespace Aperture.Mediation.Tests.Nvme;

/// <summary>A submission queue entry, as a driver writes it.</summary>
internal sealed record Entry(byte Opcode, uint Namespace = 1, ulong Prp1 = 0, ulong Prp2 = 0, uint Word10 = 0, uint Word11 = 0, uint Word12 = 0)
{
    public byte Flags { get; init; }

    public ulong Metadata { get; init; }

    public uint Word13 { get; init; }

    public static Entry Block(byte opcode, ulong block, int count, ulong prp1, ulong prp2 = 0) =>
        new(opcode, 1, prp1, prp2, (uint)block, (uint)(block >> 32), (uint)(count - 1));

    public byte[] Bytes(ushort id)
    {
        byte[] bytes = new byte[64];
        (bytes[0], bytes[1]) = (Opcode, Flags);
        BinaryPrimitives.WriteUInt16LittleEndian(bytes.AsSpan(2), id);
        BinaryPrimitives.WriteUInt32LittleEndian(bytes.AsSpan(4), Namespace);
        BinaryPrimitives.WriteUInt64LittleEndian(bytes.AsSpan(16), Metadata);
        BinaryPrimitives.WriteUInt64LittleEndian(bytes.AsSpan(24), Prp1);
        BinaryPrimitives.WriteUInt64LittleEndian(bytes.AsSpan(32), Prp2);
        BinaryPrimitives.WriteUInt32LittleEndian(bytes.AsSpan(40), Word10);
        BinaryPrimitives.WriteUInt32LittleEndian(bytes.AsSpan(44), Word11);
        BinaryPrimitives.WriteUInt32LittleEndian(bytes.AsSpan(48), Word12);
        BinaryPrimitives.WriteUInt32LittleEndian(bytes.AsSpan(52), Word13);
        return bytes;
    }
}

/// <summary>What came back: the status without its phase, the id, word 0.</summary>
internal readonly record struct Completion(ushort Status, ushort Id, uint Result, ushort Head)
{
    /// <summary>Type and code, without do not retry.</summary>
    public int Code => Status & 0x7FF;
}

/// <summary>A queue pair of the guest's, in its memory.</summary>
internal sealed class GuestPair(ulong submissions, ulong completions, int entries, int completionEntries, uint doorbell)
{
    public ulong Submissions => submissions;

    public ulong CompletionsAt => completions;

    public int Entries => entries;

    public int CompletionEntries => completionEntries;

    public uint Doorbell => doorbell;

    public int Tail { get; set; }

    public int Head { get; set; }

    public bool Phase { get; set; } = true;
}

/// <summary>A guest's driver for the controller that the mediator shows: RAM of its own at <see cref="Base"/>, an admin queue and an I/O queue in it.</summary>
internal sealed class NvmeGuest : IDisposable
{
    public const ulong Base = 0x4000_0000;
    public const ulong RamSize = 1 << 20;

    /// <summary>Where tests put data: the rest of RAM.</summary>
    public const ulong Data = Base + 0x10000;

    private ushort _nextId;

    public NvmeGuest(Place place, int at = 0, bool maps = true)
    {
        Ram = RamBlock.Create($"guest{at}", RamSize, shared: true);
        Guest = place.Connect(at, Ram);
        if (maps)
        {
            Assert.Equal(0, Guest.Device.Iommu.Map(Range, Ram.HostAddress, true));
        }

        Guest.EnableBusMaster();
    }

    public static AddressRange Range => new(new GuestAddress(Base), RamSize);

    public RamBlock Ram { get; }

    public TestGuest Guest { get; }

    public GuestPair Admin { get; private set; } = null!;

    public GuestPair Io { get; private set; } = null!;

    public uint Status => Guest.Read(0, 0x1C);

    /// <summary>Brings the controller up: admin queue of 16 entries.</summary>
    public NvmeGuest Enable()
    {
        Guest.Write(0, 0x14, 0);
        Admin = new GuestPair(Base, Base + 0x1000, 16, 16, 0x1000);
        Ram.AsSpan(0, 0x2000).Clear();
        Guest.Write(0, 0x24, 15 | 15 << 16);
        Guest.Write(0, 0x28, (uint)Base);
        Guest.Write(0, 0x2C, 0);
        Guest.Write(0, 0x30, (uint)Base + 0x1000);
        Guest.Write(0, 0x34, 0);
        Guest.Write(0, 0x14, 0x0046_0001);
        return this;
    }

    /// <summary>The I/O queues too, of so many entries.</summary>
    public NvmeGuest Start(int entries = 32)
    {
        Enable();
        Assert.Equal(1u, Status);
        CreateQueues(entries);
        return this;
    }

    public void CreateQueues(int entries = 32, int completionEntries = 0)
    {
        int completions = completionEntries == 0 ? entries : completionEntries;
        Io = new GuestPair(Base + 0x4000, Base + 0x2000, entries, completions, 0x1008);
        Ram.AsSpan(0x2000, 0x2000).Clear();
        Assert.Equal(0, Command(new Entry(0x05, 0, Base + 0x2000, 0, (uint)(completions - 1) << 16 | 1, 1 << 16 | 3)).Status);
        Assert.Equal(0, Command(new Entry(0x01, 0, Base + 0x4000, 0, (uint)(entries - 1) << 16 | 1, 1 << 16 | 1)).Status);
    }

    public Completion Command(Entry entry) => Do(Admin, entry);

    public Completion Do(Entry entry) => Do(Io, entry);

    public Completion Do(GuestPair pair, Entry entry)
    {
        ushort id = Submit(pair, entry);
        Completion done = Await(pair);
        Assert.Equal(id, done.Id);
        return done;
    }

    public ushort Put(GuestPair pair, Entry entry)
    {
        ushort id = _nextId++;
        Ram.Write(pair.Submissions - Base + (ulong)pair.Tail * 64, entry.Bytes(id));
        pair.Tail = (pair.Tail + 1) % pair.Entries;
        return id;
    }

    public ushort Submit(GuestPair pair, Entry entry)
    {
        ushort id = Put(pair, entry);
        Guest.Write(0, pair.Doorbell, (uint)pair.Tail);
        return id;
    }

    public bool TryTake(GuestPair pair, out Completion done, bool acknowledge = true)
    {
        ulong at = pair.CompletionsAt - Base + (ulong)pair.Head * 16;
        ulong high = Ram.Read<ulong>(at + 8);
        done = new Completion((ushort)(high >> 49), (ushort)(high >> 32), Ram.Read<uint>(at), (ushort)high);
        if ((high >> 48 & 1) != 0 != pair.Phase)
        {
            return false;
        }

        pair.Head++;
        if (pair.Head == pair.CompletionEntries)
        {
            (pair.Head, pair.Phase) = (0, !pair.Phase);
        }

        if (acknowledge)
        {
            Guest.Write(0, pair.Doorbell + 4, (uint)pair.Head);
        }

        return true;
    }

    public Completion Await(GuestPair pair)
    {
        Completion done = default;
        Assert.True(SpinWait.SpinUntil(() => TryTake(pair, out done), 20_000), $"no completion came; the status is 0x{Status:x}");
        return done;
    }

    public Span<byte> At(ulong address, int length) => Ram.AsSpan(address - Base, length);

    public void WriteLong(ulong address, ulong value) => Ram.Write(address - Base, value);

    public byte[] Identify(uint structure, uint space)
    {
        Assert.Equal(0, Command(new Entry(0x06, space, Data, 0, structure)).Status);
        return At(Data, 4096).ToArray();
    }

    public void Dispose()
    {
        Guest.Dispose();
        Ram.Dispose();
    }
}

/// <summary>A drive in software that is shared at some sockets.</summary>
internal sealed class SharedDrive : IDisposable
{
    /// <summary>Blocks of each guest's share; the first of the drive are nobody's.</summary>
    public const int ShareBlocks = 256;

    public const int StartBlocks = 64;

    public SharedDrive(int guests = 1, Action<SoftwareDrive>? prepare = null, int vectors = 9)
    {
        Drive = new SoftwareDrive(Iommu, StartBlocks + guests * ShareBlocks + 64, vectors);
        prepare?.Invoke(Drive);
        HostFunction function = new(Drive, Iommu, Owner);
        ulong[] shares = [.. Enumerable.Repeat((ulong)(ShareBlocks * Drive.BlockSize), guests)];
        Place = new Place(new Mediation.Nvme.NvmeMediator(function, shares, (ulong)(StartBlocks * Drive.BlockSize), 1, Reports), guests);
    }

    public SoftwareIommu Iommu { get; } = new();

    public Reports Reports { get; } = new();

    public SoftwareDrive Drive { get; }

    public Place Place { get; }

    public Released Owner { get; } = new();

    public Span<byte> Block(int guest, int block, int count = 1) =>
        Drive.Blocks.AsSpan((StartBlocks + guest * ShareBlocks + block) * Drive.BlockSize, count * Drive.BlockSize);

    public void Dispose()
    {
        Place.Dispose();
        Assert.True(Drive.IsDisposed);
        Assert.True(Owner.IsDisposed);
        Assert.False(Drive.IsBusMaster);
        Assert.Equal(0, Iommu.Count);
        Assert.Empty(Iommu.Faults);
    }

    internal sealed class Released : IDisposable
    {
        public bool IsDisposed { get; private set; }

        public void Dispose() => IsDisposed = true;
    }
}
