using Aperture.Hypervisor;
using Aperture.Kvm.X86;
using Aperture.Linux;
using Aperture.Linux.Kvm;

namespace Aperture.Kvm;

/// <summary>A vCPU that KVM has made and nobody runs yet: its descriptor, the page shared with the kernel, its state after power-on.</summary>
internal sealed class PreparedVcpu : IDisposable
{
    private readonly PostedWrites _posted;

    /// <summary>Makes the vCPU.</summary>
    /// <exception cref="LinuxException">KVM refused.</exception>
    public PreparedVcpu(KvmVm vm, int index, ReadOnlySpan<KvmCpuidEntry> cpuid, ReadOnlySpan<uint> msrs)
    {
        Index = index;
        _posted = vm.PostedWrites;
        Descriptor = KvmIoctl.CreateVcpu(vm.Descriptor, index);
        try
        {
            Page = new KvmRunPage(Descriptor, vm.System.VcpuMapSize);
            if (index == 0)
            {
                _posted.Attach(Page, vm.Check(KvmCapability.CoalescedMmio));
            }

            KvmIoctl.SetCpuid(Descriptor, cpuid);
            ResetState = VcpuResetState.Save(vm, Descriptor, msrs);
        }
        catch
        {
            Page?.Dispose();
            Descriptor.Dispose();
            throw;
        }
    }

    /// <summary>0 for the boot processor; the APIC id too.</summary>
    public int Index { get; }

    public SafeFileDescriptor Descriptor { get; }

    public KvmRunPage Page { get; }

    public VcpuResetState ResetState { get; }

    /// <inheritdoc/>
    public void Dispose()
    {
        if (Index == 0)
        {
            _posted.Detach();
        }

        Page.Dispose();
        Descriptor.Dispose();
    }
}

/// <summary>All vCPUs of a VM before anybody answers their exits.</summary>
public sealed class PreparedVcpus : IExitSource
{
    private const int MaximumCount = 64;

    private readonly PostedWrites _posted;
    private PreparedVcpu[] _vcpus;

    private PreparedVcpus(PostedWrites posted, PreparedVcpu[] vcpus)
    {
        _posted = posted;
        _vcpus = vcpus;
    }

    /// <summary>Makes the vCPUs' threads, stopped, in the processor's reset state; the group owns the vCPUs from here on. Once.</summary>
    /// <param name="exits">Makes the handler of each vCPU, given its index.</param>
    public VcpuGroup Begin(Func<int, IVcpuExits> exits)
    {
        ArgumentNullException.ThrowIfNull(exits);
        EntryGate gate = new();
        VcpuGroup group = new(gate, [.. _vcpus.Select(vcpu => new Vcpu(vcpu, _posted, gate, exits(vcpu.Index)))]);
        _vcpus = [];
        group.Start();
        return group;
    }

    IExits IExitSource.Begin(Func<int, IVcpuExits> answer) => Begin(answer);

    /// <inheritdoc/>
    public void Dispose()
    {
        foreach (PreparedVcpu vcpu in _vcpus)
        {
            vcpu.Dispose();
        }

        _vcpus = [];
    }

    internal static PreparedVcpus Create(KvmVm vm, int count, CpuidTable cpuid)
    {
        int most = Math.Min(MaximumCount, Math.Max(1, vm.Check(KvmCapability.MaximumVcpus)));
        if (count < 1 || count > most)
        {
            throw new ApertureException($"{count} vCPUs were asked for; this host gives a guest 1 to {most}.");
        }

        uint[] msrs = KvmIoctl.GetMsrIndexList(vm.System.Device);
        List<PreparedVcpu> vcpus = new(count);
        try
        {
            for (int index = 0; index < count; index++)
            {
                vcpus.Add(new PreparedVcpu(vm, index, cpuid.ForVcpu(index), msrs));
            }
        }
        catch
        {
            vcpus.ForEach(vcpu => vcpu.Dispose());
            throw;
        }

        return new PreparedVcpus(vm.PostedWrites, [.. vcpus]);
    }
}
