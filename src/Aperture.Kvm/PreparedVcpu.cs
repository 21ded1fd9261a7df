using Aperture.Hypervisor;
using Aperture.Linux;
using Aperture.Linux.Kvm;

namespace Aperture.Kvm;

/// <summary>A vCPU that KVM has made and nobody runs yet: its descriptor, the page shared with the kernel, its state after power-on.</summary>
internal sealed class PreparedVcpu : IDisposable
{
    private readonly PostedWrites _posted;

    /// <summary>Makes the vCPU.</summary>
    /// <exception cref="LinuxException">KVM refused.</exception>
    public PreparedVcpu(KvmVm vm, int index, Func<SafeFileDescriptor, int, IVcpuState> prepare)
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

            State = prepare(Descriptor, index);
        }
        catch
        {
            Page?.Dispose();
            Descriptor.Dispose();
            throw;
        }
    }

    /// <summary>0 for the boot processor; on a PC the APIC id too.</summary>
    public int Index { get; }

    public SafeFileDescriptor Descriptor { get; }

    public KvmRunPage Page { get; }

    public IVcpuState State { get; }

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

    /// <summary>Makes the vCPUs.</summary>
    /// <param name="vm">Where.</param>
    /// <param name="count">How many.</param>
    /// <param name="maximum">The most that this architecture's guests have here; KVM may have fewer.</param>
    /// <param name="prepare">Gives each its features and remembers its state, given its descriptor and index.</param>
    /// <exception cref="ApertureException">A bad count, or KVM refused.</exception>
    internal static PreparedVcpus Create(KvmVm vm, int count, int maximum, Func<SafeFileDescriptor, int, IVcpuState> prepare)
    {
        int most = Math.Min(maximum, Math.Max(1, vm.Check(KvmCapability.MaximumVcpus)));
        if (count < 1 || count > most)
        {
            throw new ApertureException($"{count} vCPUs were asked for; this host gives a guest 1 to {most}.");
        }

        List<PreparedVcpu> vcpus = new(count);
        try
        {
            for (int index = 0; index < count; index++)
            {
                vcpus.Add(new PreparedVcpu(vm, index, prepare));
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
