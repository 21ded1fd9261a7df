using System.Collections.Concurrent;
using Aperture.Hypervisor;

namespace Aperture.Kvm.Tests;

/// <summary>Records every exit and answers from delegates. A write to <see cref="DonePort"/> stops the guest.</summary>
internal sealed class ScriptedExits : IVcpuExits
{
    public const ushort DonePort = 0xF4;

    public ConcurrentQueue<string> Log { get; } = new();

    public Func<ushort, int, uint> PortReads { get; set; } = (_, size) => (uint)AccessWidth.AllOnes(size);

    public Action<ushort, int, uint>? PortWrites { get; set; }

    public Func<ulong, int, ulong> MmioReads { get; set; } = (_, size) => AccessWidth.AllOnes(size);

    public Action<ulong, int, ulong>? MmioWrites { get; set; }

    public Func<VcpuStop, VcpuAction>? Stops { get; set; }

    /// <summary>Answers memory exits of system management mode.</summary>
    public ScriptedExits? Management { get; init; }

    public IVcpuExits InManagementMode => Management ?? this;

    public bool Recording { get; set; } = true;

    /// <summary>Set by <see cref="KvmGuest"/>: stops all vCPUs, with what was written to the port or the stop's sentence.</summary>
    public Action<uint>? Done { get; set; }

    public ConcurrentQueue<VcpuStop> Stopped { get; } = new();

    public uint PortRead(ushort port, int size)
    {
        uint value = PortReads(port, size);
        if (Recording)
        {
            Log.Enqueue($"in{size} {port:x} {value:x}");
        }

        return value;
    }

    public void PortWrite(ushort port, int size, uint value)
    {
        if (port == DonePort)
        {
            Done?.Invoke(value);
            return;
        }

        if (Recording)
        {
            Log.Enqueue($"out{size} {port:x} {value:x}");
        }

        PortWrites?.Invoke(port, size, value);
    }

    public ulong MmioRead(GuestAddress address, int size)
    {
        ulong value = MmioReads(address.Value, size);
        if (Recording)
        {
            Log.Enqueue($"read{size} {address.Value:x} {value:x}");
        }

        return value;
    }

    public void MmioWrite(GuestAddress address, int size, ulong value)
    {
        if (Recording)
        {
            Log.Enqueue($"write{size} {address.Value:x} {value:x}");
        }

        MmioWrites?.Invoke(address.Value, size, value);
    }

    VcpuAction IVcpuExits.Stopped(VcpuStop stop)
    {
        Stopped.Enqueue(stop);
        if (Stops is not null)
        {
            return Stops(stop);
        }

        Done?.Invoke(uint.MaxValue);
        return VcpuAction.Park;
    }
}
