using Aperture.Hypervisor.Arm64;
using Aperture.Linux;
using Aperture.Linux.Kvm;

namespace Aperture.Kvm.Arm64;

/// <summary>
/// The in-kernel GICv3 of a VM and its translation service (Documentation/virt/kvm/devices/arm-vgic-v3.rst, arm-vgic-its.rst). Made in two steps: the kernel
/// wants to know of it before the vCPUs are made, and to be told of its frames and to finish it after.
/// </summary>
internal sealed class Gic : IDisposable
{
    // Registers of the distributor, one bit an interrupt, a word for 32 of them (IHI 0069, 12.9).
    private const ulong DistributorControl = 0x0;
    private const ulong ClearEnable = 0x180;
    private const ulong SetPending = 0x200;
    private const ulong ClearActive = 0x380;

    // A redistributor's control register, and its frame of private interrupts with registers as above (12.11).
    private const ulong RedistributorControl = 0x0;
    private const ulong PrivateFrame = 0x1_0000;

    // The encodings (op0 15:14, op1 13:11, CRn 10:7, CRm 6:3, op2 2:0) of ICC_IGRPEN1_EL1, ICC_IGRPEN0_EL1, ICC_PMR_EL1, ICC_AP0R0_EL1 and
    // ICC_AP1R0_EL1 (12.2).
    private static readonly ulong[] ProcessorInterface = [0xC667, 0xC666, 0xC230, 0xC644, 0xC648];

    private const string Refused = "cannot reset the in-kernel interrupt controller";

    private readonly GicDescription _description;
    private readonly SafeFileDescriptor _controller;
    private SafeFileDescriptor? _its;
    private int _cpus;

    private Gic(GicDescription description, SafeFileDescriptor controller)
    {
        _description = description;
        _controller = controller;
    }

    /// <summary>Begins one, before the vCPUs.</summary>
    /// <exception cref="ApertureException">The host has no GICv3 for guests.</exception>
    public static Gic Begin(SafeFileDescriptor vm, GicDescription description)
    {
        if (!KvmIoctl.CanCreateDevice(vm, KvmArm64.VgicV3))
        {
            throw KvmSystem.Failure(
                "this host's KVM makes no GICv3: its own interrupt controller is an older one, which has no messages for devices on PCI; use a host with "
                    + "GICv3.");
        }

        return new Gic(description, KvmIoctl.CreateDevice(vm, KvmArm64.VgicV3, "the interrupt controller (GICv3)"));
    }

    /// <summary>Says where everything is and finishes it, once all vCPUs are made.</summary>
    /// <exception cref="ApertureException">KVM refused, or has no translation service though the machine has one.</exception>
    public void Finish(SafeFileDescriptor vm, int cpus)
    {
        _cpus = cpus;
        KvmIoctl.SetDeviceAttribute(
            _controller, KvmArm64.GroupAddresses, KvmArm64.DistributorAddress, _description.Distributor.Value, "cannot place the interrupt distributor");
        for (int region = 0; region < _description.Redistributors.Count; region++)
        {
            RedistributorRegion at = _description.Redistributors[region];
            KvmIoctl.SetDeviceAttribute(
                _controller,
                KvmArm64.GroupAddresses,
                KvmArm64.RedistributorRegion,
                (ulong)at.Count << KvmArm64.RedistributorCountShift | at.Start.Value | (uint)region,
                "cannot place the vCPUs' interrupt redistributors");
        }

        KvmIoctl.SetDeviceAttribute(
            _controller, KvmArm64.GroupInterrupts, 0, (ulong)(GicDescription.FirstSpi + _description.SpiCount), "cannot set the number of interrupts");
        KvmIoctl.SetDeviceAttribute(
            _controller, KvmArm64.GroupControl, KvmArm64.ControlInitialize, 0, "cannot finish the interrupt controller");
        if (_description.Its is { } its)
        {
            _its = BeginIts(vm);
            KvmIoctl.SetDeviceAttribute(_its, KvmArm64.GroupAddresses, KvmArm64.ItsAddress, its.Value, "cannot place the interrupt translation service");
            KvmIoctl.SetDeviceAttribute(
                _its, KvmArm64.GroupControl, KvmArm64.ControlInitialize, 0, "cannot finish the interrupt translation service");
        }
    }

    /// <summary>Back to the state after power-on, with the vCPUs stopped.</summary>
    /// <exception cref="LinuxException">KVM refused.</exception>
    public void Reset()
    {
        if (_its is not null)
        {
            KvmIoctl.SetDeviceAttribute(_its, KvmArm64.GroupControl, KvmArm64.ItsReset, 0, Refused);
        }

        SetDistributor(DistributorControl, 0);
        for (ulong word = 1; word <= (ulong)_description.SpiCount / 32; word++)
        {
            SetDistributor(ClearEnable + (4 * word), uint.MaxValue);
            SetDistributor(SetPending + (4 * word), 0);
            SetDistributor(ClearActive + (4 * word), uint.MaxValue);
        }

        for (int cpu = 0; cpu < _cpus; cpu++)
        {
            ResetPrivate((ulong)Affinity.Of(cpu).Value << 32);
        }
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        _its?.Dispose();
        _controller.Dispose();
    }

    private static SafeFileDescriptor BeginIts(SafeFileDescriptor vm) => KvmIoctl.CanCreateDevice(vm, KvmArm64.VgicIts)
        ? KvmIoctl.CreateDevice(vm, KvmArm64.VgicIts, "the interrupt translation service (ITS)")
        : throw KvmSystem.Failure(
            "this host's KVM makes no interrupt translation service (ITS), without which devices cannot send messages; use a host whose GICv3 has one.");

    // The private interrupts of one vCPU and its processor interface.
    private void ResetPrivate(ulong cpu)
    {
        Set(KvmArm64.GroupRedistributors, cpu | RedistributorControl, 0);
        Set(KvmArm64.GroupRedistributors, cpu | (PrivateFrame + ClearEnable), uint.MaxValue);
        Set(KvmArm64.GroupRedistributors, cpu | (PrivateFrame + SetPending), 0);
        Set(KvmArm64.GroupRedistributors, cpu | (PrivateFrame + ClearActive), uint.MaxValue);
        foreach (ulong register in ProcessorInterface)
        {
            Set(KvmArm64.GroupProcessorInterface, cpu | register, 0);
        }
    }

    private void SetDistributor(ulong register, uint value) => Set(KvmArm64.GroupDistributor, register, value);

    private void Set(uint group, ulong attribute, uint value) => KvmIoctl.SetDeviceAttribute(_controller, group, attribute, value, Refused);
}
