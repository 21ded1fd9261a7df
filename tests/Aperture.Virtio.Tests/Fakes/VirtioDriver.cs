using System.Buffers.Binary;
using Aperture.Pci.Registers;
using Aperture.TestKit.Devices;
using Aperture.Virtio.Block;
using Aperture.Virtio.Transport;

namespace Aperture.Virtio.Tests.Fakes;

/// <summary>A driver for one queue of a virtio function, written from the specification: rings at fixed places in a small guest memory.</summary>
internal sealed class VirtioDriver
{
    public const ulong Version1 = 1UL << 32;
    public const ulong Indirect = 1UL << 28;
    public const ulong Flush = 1UL << 9;
    public const int Descriptors = 0x1000;
    public const int Available = 0x2000;
    public const int Used = 0x3000;
    public const int Buffers = 0x8000;

    private readonly IAccessHandler _bar;
    private ushort _offered;

    public VirtioDriver(VirtioPciFunction function, FakeDma memory, ushort size = 16)
    {
        (Function, Memory, Size) = (function, memory, size);
        _bar = function.Handler(0)!;
    }

    public VirtioPciFunction Function { get; }

    public FakeDma Memory { get; }

    public ushort Size { get; }

    public byte Status => _bar.In(0x14);

    public ushort UsedIndex => U16(Used + 2);

    public static uint Get(IAccessHandler bar, uint offset, int size)
    {
        Assert.Equal(AccessResult.Ok, bar.Read(offset, size, out ulong value));
        return (uint)value;
    }

    public void Set(uint offset, int size, uint value) => Assert.Equal(AccessResult.Ok, _bar.Write(offset, size, value));

    public uint Get(uint offset, int size) => Get(_bar, offset, size);

    public ulong OfferedFeatures()
    {
        Set(0, 4, 0);
        ulong low = Get(4, 4);
        Set(0, 4, 1);
        return low | (ulong)Get(4, 4) << 32;
    }

    public void Start(ulong features = Version1 | Indirect | Flush)
    {
        Function.WriteConfig(PciRegisters.Command, 2, (uint)(PciCommand.BusMaster | PciCommand.MemorySpace));
        Set(0x14, 1, 0);
        Assert.Equal(0, Status);
        Memory.Memory.AsSpan(Available, 0x2000).Clear();
        _offered = 0;
        Set(0x14, 1, 1);
        Set(0x14, 1, 3);
        Set(8, 4, 0);
        Set(0xC, 4, (uint)features);
        Set(8, 4, 1);
        Set(0xC, 4, (uint)(features >> 32));
        Set(0x14, 1, 0xB);
        Set(0x16, 2, 0);
        Set(0x18, 2, Size);
        Set(0x20, 4, Descriptors);
        Set(0x24, 4, 0);
        Set(0x28, 4, Available);
        Set(0x2C, 4, 0);
        Set(0x30, 4, Used);
        Set(0x34, 4, 0);
        Set(0x1C, 2, 1);
        Set(0x14, 1, 0xF);
    }

    public void Descriptor(int index, ulong address, uint length, int flags, int next, int table = Descriptors)
    {
        Span<byte> at = Memory.Memory.AsSpan(table + (index * 16));
        BinaryPrimitives.WriteUInt64LittleEndian(at, address);
        BinaryPrimitives.WriteUInt32LittleEndian(at[8..], length);
        BinaryPrimitives.WriteUInt16LittleEndian(at[12..], (ushort)flags);
        BinaryPrimitives.WriteUInt16LittleEndian(at[14..], (ushort)next);
    }

    public void Offer(int head)
    {
        BinaryPrimitives.WriteUInt16LittleEndian(Memory.Memory.AsSpan(Available + 4 + (_offered % Size * 2)), (ushort)head);
        BinaryPrimitives.WriteUInt16LittleEndian(Memory.Memory.AsSpan(Available + 2), ++_offered);
    }

    public void Ring()
    {
        Set(0x3000, 2, 0);
        Assert.True(Function.WaitIdle(TimeSpan.FromSeconds(30)));
    }

    /// <summary>One request in three descriptors. Gives the status byte and the used length.</summary>
    public (byte Status, uint Length) Request(uint type, ulong sector, int dataLength, bool deviceWrites)
    {
        Header(type, sector);
        Memory.Memory[Buffers + 16] = 0xEE;
        Descriptor(0, Buffers, 16, 1, dataLength > 0 ? 1 : 2);
        Descriptor(1, Buffers + 0x100, (uint)dataLength, deviceWrites ? 3 : 1, 2);
        Descriptor(2, Buffers + 16, 1, 2, 0);
        ushort before = UsedIndex;
        Offer(0);
        Ring();
        Assert.Equal((ushort)(before + 1), UsedIndex);
        int element = Used + 4 + (before % Size * 8);
        Assert.Equal(0u, BinaryPrimitives.ReadUInt32LittleEndian(Memory.Memory.AsSpan(element)));
        return (Memory.Memory[Buffers + 16], BinaryPrimitives.ReadUInt32LittleEndian(Memory.Memory.AsSpan(element + 4)));
    }

    public void Header(uint type, ulong sector, int at = Buffers)
    {
        BinaryPrimitives.WriteUInt32LittleEndian(Memory.Memory.AsSpan(at), type);
        BinaryPrimitives.WriteUInt64LittleEndian(Memory.Memory.AsSpan(at + 8), sector);
    }

    public Span<byte> Data(int length) => Memory.Memory.AsSpan(Buffers + 0x100, length);

    private ushort U16(int at) => BinaryPrimitives.ReadUInt16LittleEndian(Memory.Memory.AsSpan(at));
}

/// <summary>A disk in memory that can be told to fail.</summary>
internal sealed class FakeStorage(int sectors, bool readOnly = false) : IBlockStorage
{
    public byte[] Bytes { get; } = new byte[sectors * 512];

    public bool Broken { get; set; }

    public int Flushes { get; private set; }

    public Action? OnAccess { get; set; }

    public ulong Size => (ulong)Bytes.Length;

    public bool IsReadOnly => readOnly;

    public bool Read(ulong offset, Span<byte> destination)
    {
        OnAccess?.Invoke();
        Bytes.AsSpan((int)offset, destination.Length).CopyTo(destination);
        return !Broken;
    }

    public bool Write(ulong offset, ReadOnlySpan<byte> source)
    {
        OnAccess?.Invoke();
        Assert.False(readOnly);
        if (!Broken)
        {
            source.CopyTo(Bytes.AsSpan((int)offset));
        }

        return !Broken;
    }

    public bool Flush()
    {
        Flushes++;
        return !Broken;
    }

    public void Dispose()
    {
    }
}
