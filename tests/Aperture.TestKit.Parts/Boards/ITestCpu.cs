using Aperture.Board;
using Aperture.Memory;

namespace Aperture.TestKit.Parts.Boards;

/// <summary>One vCPU's accesses to a board.</summary>
public interface ITestCpu
{
    uint PortRead(ushort port, int size);

    void PortWrite(ushort port, int size, uint value);

    ulong MmioRead(GuestAddress address, int size);

    void MmioWrite(GuestAddress address, int size, ulong value);
}

/// <summary>Accesses that go straight to the board's dispatchers.</summary>
public sealed class TestCpu(PciBoard board) : ITestCpu
{
    private LookupCache _memory;
    private LookupCache _ports;

    public uint PortRead(ushort port, int size)
    {
        board.PortDispatcher.Read(ref _ports, new GuestAddress(port), size, out ulong value);
        return (uint)value;
    }

    public void PortWrite(ushort port, int size, uint value) => board.PortDispatcher.Write(ref _ports, new GuestAddress(port), size, value);

    public ulong MmioRead(GuestAddress address, int size)
    {
        board.MemoryDispatcher.Read(ref _memory, address, size, out ulong value);
        return value;
    }

    public void MmioWrite(GuestAddress address, int size, ulong value) => board.MemoryDispatcher.Write(ref _memory, address, size, value);
}
