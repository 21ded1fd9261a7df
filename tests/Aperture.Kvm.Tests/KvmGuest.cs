using Aperture.Hypervisor.X86;
using Aperture.Kvm.X86;
using Aperture.TestPayloads;

namespace Aperture.Kvm.Tests;

/// <summary>A guest on this machine's KVM: a ROM image below 4 GiB (and below 1 MiB), a little RAM at 0, vCPUs whose exits are scripted.</summary>
internal sealed class KvmGuest : IDisposable
{
    public const int RamSize = 64 << 10;
    public const int FreeSlot = 3;

    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(20);

    private readonly KvmSystem _system;
    private readonly ManualResetEventSlim _done = new();

    public KvmGuest(byte[] rom, int cpus = 1, bool interruptControllers = true)
    {
        _system = KvmSystem.Open();
        Vm = _system.CreateVm(new KvmVmOptions { InterruptControllers = interruptControllers });
        rom.CopyTo(Rom.Bytes);
        Vm.Memory.Set(0, GuestAddress.Zero, RamSize, Ram.Address, readOnly: false, logDirty: false);
        Vm.Memory.Set(1, RomImage.Start, RomImage.Size, Rom.Address, readOnly: true, logDirty: false);
        Vm.Memory.Set(2, new GuestAddress(0xF0000), RomImage.Size, Rom.Address, readOnly: true, logDirty: false);
        CpuidTable cpuid = new(_system.SupportedCpuid(), new CpuidPolicy { Cpus = cpus, InterruptControllers = interruptControllers });
        Vcpus = Vm.CreateVcpus(cpus, cpuid, index =>
        {
            ScriptedExits exits = new() { Done = code => Finish(code), Management = new ScriptedExits() };
            AllExits.Add(exits);
            return exits;
        });
    }

    public KvmVm Vm { get; }

    public VcpuGroup Vcpus { get; }

    public PageMemory Ram { get; } = new(RamSize);

    public PageMemory Rom { get; } = new(RomImage.Size);

    public List<ScriptedExits> AllExits { get; } = [];

    public ScriptedExits Exits => AllExits[0];

    /// <summary>What the guest wrote to the done port.</summary>
    public uint Code { get; private set; }

    public static void RequireKvm()
    {
        try
        {
            KvmSystem.Open().Dispose();
        }
        catch (ApertureException failure)
        {
            Assert.Skip(failure.Message);
        }
    }

    public static KvmGuest Start(byte[] rom, int cpus = 1, bool interruptControllers = true)
    {
        RequireKvm();
        return new KvmGuest(rom, cpus, interruptControllers);
    }

    public void Go(BootState? boot = null)
    {
        _done.Reset();
        Vcpus.Reset(boot ?? BootState.ResetVector);
        Vcpus.Resume();
    }

    /// <summary>
    /// Runs from the reset vector, or from <paramref name="boot"/>, until the guest says that it is done, stops all vCPUs and returns the log of vCPU 0.
    /// </summary>
    public string[] Run(BootState? boot = null)
    {
        Go(boot);
        return Finished();
    }

    public string[] Finished()
    {
        bool done = _done.Wait(Patience);
        Vcpus.Stop();
        Assert.True(done, $"the guest was not done in time; rip {Vcpus.Vcpus[0].Registers.Rip:x}; log: {string.Join("; ", Exits.Log.TakeLast(20))}");
        return [.. Exits.Log];
    }

    public void Dispose()
    {
        Vcpus.Dispose();
        Vm.Dispose();
        _system.Dispose();
        GC.KeepAlive(Ram);
        GC.KeepAlive(Rom);
    }

    private void Finish(uint code)
    {
        Code = code;
        Vcpus.RequestStop();
        _done.Set();
    }
}
