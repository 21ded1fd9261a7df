using Aperture.Board;
using Aperture.Hypervisor;
using Aperture.Memory;

namespace Aperture.Machine;

/// <summary>One vCPU's way to the board: its exits, each looked up with caches of this vCPU's own.</summary>
/// <param name="board">The board.</param>
/// <param name="stopped">Told when the vCPU cannot go on.</param>
/// <param name="management">What the vCPU sees of memory in system management mode; null where there is no such mode.</param>
internal sealed class CpuBus(PciBoard board, Func<VcpuStop, VcpuAction> stopped, OverlaidMemory? management = null) : IVcpuExits
{
    private readonly Dispatcher _memory = board.MemoryDispatcher;
    private readonly Dispatcher _ports = board.PortDispatcher;
    private LookupCache _memoryCache;
    private LookupCache _portCache;

    public IVcpuExits InManagementMode => management is null ? this : new ManagementBus(this, management);

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

    /// <summary>The same in system management mode. Only exits of memory differ; they are few, so they are looked up each time.</summary>
    private sealed class ManagementBus(CpuBus bus, OverlaidMemory memory) : IVcpuExits
    {
        public uint PortRead(ushort port, int size) => bus.PortRead(port, size);

        public void PortWrite(ushort port, int size, uint value) => bus.PortWrite(port, size, value);

        public ulong MmioRead(GuestAddress address, int size)
        {
            memory.Read(address, size, out ulong value);
            return value;
        }

        public void MmioWrite(GuestAddress address, int size, ulong value) => memory.Write(address, size, value);

        public VcpuAction Stopped(VcpuStop stop) => bus.Stopped(stop);
    }
}
