using Aperture.Board;
using Aperture.Hypervisor;
using Aperture.Memory;

namespace Aperture.Machine;

/// <summary>One vCPU's way to the board: its exits, each looked up with caches of this vCPU's own.</summary>
internal sealed class CpuBus(PciBoard board, Func<VcpuStop, VcpuAction> stopped) : IVcpuExits
{
    private readonly Dispatcher _memory = board.MemoryDispatcher;
    private readonly Dispatcher _ports = board.PortDispatcher;
    private LookupCache _memoryCache;
    private LookupCache _portCache;

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
