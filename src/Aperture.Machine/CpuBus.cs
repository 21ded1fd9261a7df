using Aperture.Board;
using Aperture.Kvm;
using Aperture.Memory;

namespace Aperture.Machine;

/// <summary>One vCPU's way to the board: its exits, each looked up with caches of this vCPU's own.</summary>
internal sealed class CpuBus(Func<VcpuStop, VcpuAction> stopped) : IVcpuExits
{
    // Set once, before the vCPU first runs.
    private Dispatcher _memory = null!;
    private Dispatcher _ports = null!;
    private LookupCache _memoryCache;
    private LookupCache _portCache;

    public CpuBus(PciBoard board, Func<VcpuStop, VcpuAction> stopped)
        : this(stopped) => Connect(board);

    /// <summary>Says where the exits go; before the vCPU runs.</summary>
    public void Connect(PciBoard board) => (_memory, _ports) = (board.MemoryDispatcher, board.PortDispatcher);

    public uint PortRead(ushort port, int size)
    {
        _ports.Read(ref _portCache, new GuestAddress(port), size, out ulong value);
        return (uint)value;
    }

    public void PortWrite(ushort port, int size, uint value) => _ports.Write(ref _portCache, new GuestAddress(port), size, value);

    public ulong MmioRead(GuestAddress address, int size)
    {
        _memory.Read(ref _memoryCache, address, size, out ulong value);
        return value;
    }

    public void MmioWrite(GuestAddress address, int size, ulong value) => _memory.Write(ref _memoryCache, address, size, value);

    public VcpuAction Stopped(VcpuStop stop) => stopped(stop);
}
