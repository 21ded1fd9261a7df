using System.Collections.Concurrent;
using System.Runtime.InteropServices;
using Aperture.Hypervisor;
using Aperture.Hypervisor.Arm64;
using Aperture.Kvm.Arm64;

namespace Aperture.Kvm.Tests.Arm64;

/// <summary>
/// A guest of a few instructions on an arm64 host's KVM: RAM at 1 GiB with the program at its start, the interrupt controller where the virt machine has it,
/// and a device at <see cref="Device"/> that logs what is written and answers reads from a list.
/// </summary>
internal sealed class Arm64Guest : IDisposable
{
    public const ulong Ram = 0x4000_0000;
    public const ulong Distributor = 0x800_0000;
    public const ulong Device = 0x900_0000;

    /// <summary>A write here ends the run.</summary>
    public const ulong Done = Device + 0xFF8;

    public static readonly GicDescription Gic = new(
        new GuestAddress(Distributor), [new RedistributorRegion(new GuestAddress(0x80A_0000), 123)], new GuestAddress(0x808_0000), 224);

    private const int RamSize = 1 << 20;
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(60);

    private readonly KvmSystem _system = KvmSystem.Open();
    private readonly ManualResetEventSlim _done = new();
    private readonly PageMemory _ram = new(RamSize);

    private Arm64Guest(int cpus, IEnumerable<uint[]> program)
    {
        MemoryMarshal.AsBytes<uint>(program.SelectMany(part => part).ToArray()).CopyTo(_ram.Bytes);
        Vm = _system.CreateVm(new KvmVmOptions { Arm64 = new Arm64Template(cpus, 40, Gic, Arm64Features.OfHost(_system)) });
        Vm.Memory.Set(0, new GuestAddress(Ram), RamSize, _ram.Address, readOnly: false, logDirty: false);
        using PreparedVcpus prepared = (PreparedVcpus)((IVm)Vm).PrepareExits();
        Vcpus = prepared.Begin(_ => new Exits(this));
    }

    public KvmVm Vm { get; }

    public VcpuGroup Vcpus { get; }

    /// <summary>What was written, in order: <c>size@offset=value</c>.</summary>
    public ConcurrentQueue<string> Log { get; } = new();

    /// <summary>What reads of the device answer.</summary>
    public ConcurrentQueue<ulong> Answers { get; } = new();

    /// <summary>Called at each write, on the vCPU's thread.</summary>
    public Action<ulong>? Written { get; set; }

    public ConcurrentQueue<VcpuStop> Stops { get; } = new();

    /// <summary>True on an arm64 host with KVM; elsewhere the test is skipped.</summary>
    public static void RequireKvm()
    {
        Assert.SkipUnless(RuntimeInformation.ProcessArchitecture == Architecture.Arm64, "needs an arm64 host");
        KvmGuest.RequireKvm();
    }

    public static Arm64Guest Start(int cpus, params uint[][] program)
    {
        RequireKvm();
        return new Arm64Guest(cpus, program);
    }

    /// <summary>Runs from the first instruction to a write to <see cref="Done"/> or a stop; X0 is <paramref name="argument"/>.</summary>
    public string[] Run(ulong argument = 0)
    {
        Log.Clear();
        _done.Reset();
        Vcpus.Reset(new BootState(new GuestAddress(Ram), new GuestAddress(argument)));
        Vcpus.Resume();
        bool done = _done.Wait(Patience);
        Vcpus.Stop();
        Assert.True(done, $"the guest was not done in time; log: {string.Join("; ", Log)}");
        return [.. Log];
    }

    public void Dispose()
    {
        Vcpus.Dispose();
        Vm.Dispose();
        _system.Dispose();
        _done.Dispose();
        GC.KeepAlive(_ram);
    }

    private void Finish()
    {
        Vcpus.RequestStop();
        _done.Set();
    }

    private sealed class Exits(Arm64Guest guest) : IVcpuExits
    {
        public uint PortRead(ushort port, int size) => uint.MaxValue;

        public void PortWrite(ushort port, int size, uint value) => guest.Log.Enqueue("port");

        public ulong MmioRead(GuestAddress address, int size) => guest.Answers.TryDequeue(out ulong answer) ? answer : ulong.MaxValue;

        public void MmioWrite(GuestAddress address, int size, ulong value)
        {
            if (address.Value == Done)
            {
                guest.Finish();
                return;
            }

            guest.Log.Enqueue($"{size}@{address.Value - Device:x}={value:x}");
            guest.Written?.Invoke(address.Value - Device);
        }

        public VcpuAction Stopped(VcpuStop stop)
        {
            guest.Stops.Enqueue(stop);
            guest.Finish();
            return VcpuAction.Park;
        }
    }
}
