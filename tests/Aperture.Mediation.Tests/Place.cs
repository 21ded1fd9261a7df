using System.Buffers.Binary;
using Aperture.Linux;
using Aperture.Mediation.Mediators;
using Aperture.Memory;
using Aperture.VfioUser.Client;
using Aperture.VfioUser.Server;

namespace Aperture.Mediation.Tests;

/// <summary>A mediator that is served at some sockets, as the daemon does.</summary>
internal sealed class Place : IDisposable
{
    private readonly TemporaryFolder _folder = new();

    public Place(IMediator mediator, int guests = 1, ServerLimits? limits = null)
    {
        Host = new MediationHost(mediator, Reports, limits);
        Paths = [.. Enumerable.Range(0, guests).Select(i => _folder.In($"{i}.sock"))];
        foreach (string path in Paths)
        {
            Host.Listen(path);
        }
    }

    public Reports Reports { get; } = new();

    public MediationHost Host { get; }

    public IReadOnlyList<string> Paths { get; }

    public TestGuest Connect(int place = 0, RamBlock? ram = null) => new(VfioUserDevice.Connect(
        Paths[place], Reports, null, ram is null ? null : new SharedBlocks(ram)));

    public void Dispose()
    {
        Host.Dispose();
        Assert.All(Paths, static path => Assert.False(File.Exists(path)));
        _folder.Dispose();
    }
}

/// <summary>A guest's driver, over the protocol library's own client.</summary>
internal sealed class TestGuest(VfioUserDevice device) : IDisposable
{
    public const ulong Page = GrantBook.Page;

    public VfioUserDevice Device { get; } = device;

    public uint Read(int bar, ulong offset)
    {
        Span<byte> bytes = stackalloc byte[4];
        Assert.Equal(0, Device.Read(bar, offset, bytes));
        return BinaryPrimitives.ReadUInt32LittleEndian(bytes);
    }

    public void Write(int bar, ulong offset, uint value)
    {
        Span<byte> bytes = stackalloc byte[4];
        BinaryPrimitives.WriteUInt32LittleEndian(bytes, value);
        Assert.Equal(0, Device.Write(bar, offset, bytes));
    }

    public byte[] ReadMany(int bar, ulong offset, int count)
    {
        byte[] bytes = new byte[count];
        Assert.Equal(0, Device.Read(bar, offset, bytes));
        return bytes;
    }

    /// <summary>Rings the doorbell of a partition function; how it went.</summary>
    public PartitionStatus Ring(PartitionCommand command, uint first, uint count)
    {
        Write(0, PartitionRegisters.First, first);
        Write(0, PartitionRegisters.Count, count);
        Write(0, PartitionRegisters.Doorbell, (uint)command);
        return (PartitionStatus)Read(0, PartitionRegisters.Status);
    }

    /// <summary>Lets the function reach memory and send messages.</summary>
    public void EnableBusMaster() => Assert.Equal(0, Device.Write(7, 4, [0x06, 0x00]));

    public EventFd Tie(int index, int vector)
    {
        EventFd trigger = new();
        Assert.Equal(0, Device.SetTriggers(index, vector, [trigger]));
        return trigger;
    }

    public void Dispose() => Device.Dispose();
}
