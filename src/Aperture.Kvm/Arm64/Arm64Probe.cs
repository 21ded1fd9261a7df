using System.Diagnostics;
using System.Runtime.InteropServices;
using Aperture.Hypervisor;
using Aperture.Hypervisor.Arm64;

namespace Aperture.Kvm.Arm64;

/// <summary>Finds out whether an arm64 host's KVM runs guests, by one of a few instructions, for a bounded time.</summary>
internal static class Arm64Probe
{
    private const int AddressBits = 32;
    private const ulong RamStart = 0x4000_0000;
    private const ulong Device = 0x900_0000;
    private const int PageSize = 64 << 10;
    private const uint Pattern = 0x1234;

    // A good host needs milliseconds, one that is itself emulated and busy most of a second; who does not finish in this time never will.
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(5);

    // movz w1, #Pattern; movz x2, #(Device >> 16), lsl #16; str w1, [x2]; b . (Arm ARM C6.2)
    private static readonly uint[] Code =
        [0x5280_0000 | Pattern << 5 | 1, 0xD2A0_0000 | (uint)(Device >> 16) << 5 | 2, 0xB900_0041, 0x1400_0000];

    /// <summary>The whole answer for the KVM at <paramref name="path"/>.</summary>
    public static KvmAbility Run(string path)
    {
        try
        {
            using KvmSystem system = KvmSystem.Open(path);
            return RunGuest(system);
        }
        catch (ApertureException failure)
        {
            return new KvmAbility(false, false, failure.Message);
        }
    }

    private static KvmAbility RunGuest(KvmSystem system)
    {
        long start = Stopwatch.GetTimestamp();
        Exits exits = new();
        bool inTime = Execute(system, exits);
        long milliseconds = (long)Stopwatch.GetElapsedTime(start).TotalMilliseconds;
        if (exits.Seen == Pattern)
        {
            return new KvmAbility(true, true, $"KVM runs 64-bit guests (one ran in {milliseconds} ms).");
        }

        string found = exits.Stop?.Sentence ?? (inTime ? $"it computed 0x{exits.Seen:x}" : $"it did not finish within {Patience.TotalSeconds} s");
        return new KvmAbility(true, false, $"KVM is there but does not run 64-bit guests: a tiny one was started and {found}; use another host.");
    }

    private static unsafe bool Execute(KvmSystem system, Exits exits)
    {
        // SAFETY: page-aligned memory of the slot's size, freed only after the vCPU's thread has ended and the VM is closed (reverse order of using). The
        // kernel's pages have at most 64 KiB.
        byte* memory = (byte*)NativeMemory.AlignedAlloc(PageSize, PageSize);
        try
        {
            Span<byte> guest = new(memory, PageSize);
            guest.Clear();
            MemoryMarshal.AsBytes<uint>(Code).CopyTo(guest);

            GicDescription none = new(GuestAddress.Zero, [], null, 0);
            using KvmVm vm = system.CreateVm(new KvmVmOptions
            {
                InterruptControllers = false,
                Arm64 = new Arm64Template(1, AddressBits, none, default),
            });
            vm.Memory.Set(0, new GuestAddress(RamStart), PageSize, new HostAddress((ulong)memory), readOnly: false, logDirty: false);
            using PreparedVcpus prepared = (PreparedVcpus)((IVm)vm).PrepareExits();
            using VcpuGroup vcpus = prepared.Begin(_ => exits);
            vcpus.Reset(new BootState(new GuestAddress(RamStart), GuestAddress.Zero));
            vcpus.Resume();
            bool inTime = exits.Done.Wait(Patience);
            vcpus.Stop();
            return inTime;
        }
        finally
        {
            NativeMemory.AlignedFree(memory);
        }
    }

    private sealed class Exits : IVcpuExits
    {
        // Written by the vCPU's thread before Done is set, read after it or after the vCPU has stopped.
        public ulong Seen { get; private set; }

        public VcpuStop? Stop { get; private set; }

        public ManualResetEventSlim Done { get; } = new();

        public uint PortRead(ushort port, int size) => uint.MaxValue;

        public void PortWrite(ushort port, int size, uint value)
        {
        }

        public ulong MmioRead(GuestAddress address, int size) => ulong.MaxValue;

        public void MmioWrite(GuestAddress address, int size, ulong value)
        {
            Seen = address.Value == Device ? value : 0;
            Done.Set();
        }

        public VcpuAction Stopped(VcpuStop stop)
        {
            Stop = stop;
            Done.Set();
            return VcpuAction.Park;
        }
    }
}
