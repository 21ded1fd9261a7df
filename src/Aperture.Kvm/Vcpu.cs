using System.Runtime.CompilerServices;
using Aperture.Hypervisor;
using Aperture.Linux;
using Aperture.Linux.Kvm;

namespace Aperture.Kvm;

/// <summary>
/// One vCPU and its thread. The registers may be touched while the group is stopped, or by the vCPU's own handler; at other times the call
/// would wait for the guest to leave.
/// </summary>
public sealed unsafe class Vcpu : IDisposable
{
    // Enough for the handlers, and 64 vCPUs cost little address space.
    private const int StackBytes = 1 << 20;

    private readonly PreparedVcpu _prepared;
    private readonly SafeFileDescriptor _vcpu;
    private readonly byte* _run;
    private readonly int _descriptor;
    private readonly EntryGate.Seat _seat;
    private readonly IVcpuExits _exits;
    private readonly IVcpuExits _managementExits;
    private readonly PostedWrites _posted;
    private readonly Thread _thread;

    // Written by the vCPU's thread before it first enters, read by kickers that saw it inside: the seat's barrier orders the two.
    private int _threadId;

    // Written by the vCPU's thread only; others may read an older value.
    private long _exitCount;

    // The vCPU's thread's.
    private FaultPatience _faults;

    // 1 from a system management interrupt's request until it is given to the kernel: set by any thread, which then sees to it that this vCPU leaves the guest
    // (the gate's barrier orders the two); taken by the vCPU's thread after it entered the gate.
    private int _smi;

    internal Vcpu(PreparedVcpu prepared, PostedWrites posted, EntryGate gate, IVcpuExits exits)
    {
        Index = prepared.Index;
        _prepared = prepared;
        _exits = exits;
        _managementExits = exits.InManagementMode;
        _posted = posted;
        _vcpu = prepared.Descriptor;
        _run = (byte*)prepared.Page.Start.Value;
        _descriptor = _vcpu.Number;
        _seat = gate.AddSeat(Kick);
        _thread = new Thread(Main, StackBytes) { Name = $"vcpu{Index}", IsBackground = false };
    }

    /// <summary>0 for the boot processor; on a PC the APIC id too.</summary>
    public int Index { get; }

    /// <summary>How often the guest left to this process. Read from another thread it may lag behind.</summary>
    public long ExitCount => Volatile.Read(ref _exitCount);

    /// <summary>The kernel's own counters by its names (KVM API 4.133), exits by kind among them; empty where it has none (before Linux 5.14).</summary>
    public IReadOnlyDictionary<string, ulong> Statistics => VcpuStatistics.Read(_vcpu);

    internal SafeFileDescriptor Descriptor => _vcpu;

    /// <summary>Frees the descriptor; <see cref="VcpuGroup.Dispose"/> does so after the thread has ended.</summary>
    public void Dispose() => _prepared.Dispose();

    /// <summary>Has the vCPU take a system management interrupt when it next enters the guest.</summary>
    internal void NoteSmi() => Volatile.Write(ref _smi, 1);

    internal void Start() => _thread.Start();

    internal void Join() => _thread.Join();

    internal bool IsThisThread => Thread.CurrentThread == _thread;

    /// <summary>At rest: back to the state after power-on, and from there to <paramref name="boot"/> where one is given.</summary>
    internal void Reset(EntryState? boot)
    {
        CompletePendingAccess();
        Volatile.Write(ref _smi, 0);
        _prepared.State.Reset(_vcpu, boot);
    }

    // Called by holders and stoppers that saw this vCPU inside.
    private void Kick()
    {
        // SAFETY: the run page outlives the gate's users; immediate_exit is one byte that both sides may write.
        Volatile.Write(ref _run[KvmRunLayout.ImmediateExit], 1);
        _ = Signals.SendToThread(_threadId, Signals.VcpuKick);
    }

    private void Main()
    {
        ulong mask = Signals.BlockOnThisThread(Signals.VcpuKick);
        KvmIoctl.SetSignalMask(_vcpu, mask & ~(1UL << (Signals.VcpuKick - 1)));
        _threadId = Signals.CurrentThreadId();
        while (true)
        {
            try
            {
                Loop();
                return;
            }
            catch (Exception fault)
            {
                ReportFault(fault);
            }
        }
    }

    private void ReportFault(Exception fault)
    {
        _seat.Leave();
        _seat.Park();
        try
        {
            _exits.Stopped(new VcpuStop(VcpuStopKind.HandlerFault, Index, $"a handler of vCPU {Index} failed, which is a fault of this program: {fault}"));
        }
        catch (Exception)
        {
            // The vCPU stays parked: there is nobody left to tell.
        }

        _ = _seat.Wait();
    }

    // For the program that is compiled while it runs: fully at once, or the first exits of a short run would be served by unoptimised code.
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private void Loop()
    {
        while (true)
        {
            if (!_seat.TryEnter())
            {
                if (!_seat.Wait())
                {
                    return;
                }

                continue;
            }

            if (Volatile.Read(ref _smi) != 0)
            {
                GiveSmi();
            }

            int result = KvmIoctl.Run(_descriptor);
            _seat.Leave();
            if (_posted.IsPending)
            {
                _posted.Deliver(_exits);
            }

            if (result != 0)
            {
                AfterFailure(result);
                continue;
            }

            _exitCount++;

            // SAFETY: the run page is mapped while the vCPU lives, and the kernel has filled in struct kvm_run (offsets held by the ABI probe).
            switch ((KvmExitReason)(*(uint*)(_run + KvmRunLayout.ExitReason)))
            {
                case KvmExitReason.Mmio:
                    Mmio();
                    break;
                case KvmExitReason.Io:
                    PortAccess();
                    break;
                default:
                    OtherExit();
                    break;
            }
        }
    }

    // A kernel without the mode refuses; such a machine has nothing that asks for it.
    private void GiveSmi()
    {
        if (Interlocked.Exchange(ref _smi, 0) != 0)
        {
            _ = KvmIoctl.TryRaiseSmi(_descriptor);
        }
    }

    private void AfterFailure(int result)
    {
        // SAFETY: the run page is mapped while the vCPU lives; its fields are read and written at the offsets that the ABI probe holds.
        switch (-result)
        {
            case Errno.EINTR:
                // Cleared before the gate is looked at again: whoever sets it from here on has raised attention before.
                Volatile.Write(ref _run[KvmRunLayout.ImmediateExit], 0);
                while (Signals.TryTake(Signals.VcpuKick))
                {
                    // A kick that stayed pending would end every later KVM_RUN at once.
                }

                break;
            case Errno.EAGAIN:
                break;
            case Errno.EFAULT when _faults.IsOver(_prepared.State.ProgramCounter(_vcpu), Environment.TickCount64):
                Stop(VcpuExitText.Stuck(Index, FaultPatience.Most, () => _prepared.State.Location(_vcpu)));
                break;
            default:
                Stop(VcpuExitText.HostError(Index, -result));
                break;
        }
    }

    // Not AggressiveOptimization, here and below: a runtime that compiles then learns who answers, and inlines the way from here to the device.
    private void Mmio()
    {
        // SAFETY: the fields of the exit that the kernel just filled in; at most 8 bytes of data are touched.
        byte* data = _run + KvmRunLayout.MmioData;
        GuestAddress address = new(*(ulong*)(_run + KvmRunLayout.MmioAddress));
        int length = *(int*)(_run + KvmRunLayout.MmioLength);
        bool isWrite = _run[KvmRunLayout.MmioIsWrite] != 0;
        IVcpuExits exits = (*(ushort*)(_run + KvmRunLayout.Flags) & KvmRunLayout.InManagementMode) == 0 ? _exits : _managementExits;
        if (length == 4 && !isWrite)
        {
            *(uint*)data = (uint)exits.MmioRead(address, 4);
            return;
        }

        // One round but for what is left of an access that crosses a page: 3, 5, 6 or 7 bytes go in powers of two.
        for (int offset = 0; offset < length;)
        {
            int size = PieceOf(length - offset);
            if (isWrite)
            {
                exits.MmioWrite(address + (ulong)offset, size, Load(data + offset, size));
            }
            else
            {
                Store(data + offset, size, exits.MmioRead(address + (ulong)offset, size));
            }

            offset += size;
        }
    }

    private void PortAccess()
    {
        // SAFETY: the fields of the exit that the kernel just filled in; count units of size bytes lie at the data offset inside the mapping.
        int size = _run[KvmRunLayout.IoSize];
        ushort port = *(ushort*)(_run + KvmRunLayout.IoPort);
        uint count = *(uint*)(_run + KvmRunLayout.IoCount);
        byte* data = _run + *(ulong*)(_run + KvmRunLayout.IoDataOffset);
        bool isOut = _run[KvmRunLayout.IoDirection] != 0;
        if (count == 1 && size == 4)
        {
            // As configuration cycles are made.
            if (isOut)
            {
                _exits.PortWrite(port, 4, *(uint*)data);
            }
            else
            {
                *(uint*)data = _exits.PortRead(port, 4);
            }

            return;
        }

        for (; count > 0; count--, data += size)
        {
            if (isOut)
            {
                _exits.PortWrite(port, size, (uint)Load(data, size));
            }
            else
            {
                Store(data, size, _exits.PortRead(port, size));
            }
        }
    }

    /// <summary>The size of the next access when <paramref name="left"/> bytes are left: 1, 2, 4 or 8.</summary>
    internal static int PieceOf(int left) => left >= 8 ? 8 : left >= 4 ? 4 : left >= 2 ? 2 : 1;

    // SAFETY of both: callers pass a place in a page shared with the kernel with size bytes behind it; both processors allow unaligned accesses.
    internal static ulong Load(byte* data, int size) => size switch
    {
        1 => *data,
        2 => *(ushort*)data,
        4 => *(uint*)data,
        _ => *(ulong*)data,
    };

    private static void Store(byte* data, int size, ulong value)
    {
        switch (size)
        {
            case 1:
                *data = (byte)value;
                break;
            case 2:
                *(ushort*)data = (ushort)value;
                break;
            case 4:
                *(uint*)data = (uint)value;
                break;
            default:
                *(ulong*)data = value;
                break;
        }
    }

    private void OtherExit()
    {
        // SAFETY: the whole page is mapped and the kernel has filled in the exit.
        ReadOnlySpan<byte> page = new(_run, 4096);
        if (VcpuExitText.Describe(Index, page, () => _prepared.State.Location(_vcpu)) is { } stop)
        {
            Stop(stop);
        }
    }

    private void Stop(VcpuStop stop)
    {
        if (_exits.Stopped(stop) == VcpuAction.Park)
        {
            _seat.Park();
            _ = _seat.Wait();
        }
    }

    /// <summary>
    /// Lets KVM finish an access that was answered but not yet taken (KVM API 5: exits for I/O and MMIO are complete only after the next
    /// KVM_RUN), so that it does not overwrite registers that are about to be set.
    /// </summary>
    private void CompletePendingAccess()
    {
        const int MostPieces = 64;

        // SAFETY: at rest, nobody else touches the run page.
        _run[KvmRunLayout.ImmediateExit] = 1;
        for (int piece = 0; piece < MostPieces && KvmIoctl.Run(_descriptor) == 0; piece++)
        {
            // A further piece of the same access: whatever it reads is about to be thrown away.
        }

        _run[KvmRunLayout.ImmediateExit] = 0;
    }
}
