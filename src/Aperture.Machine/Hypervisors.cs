using System.Runtime.InteropServices;
using Aperture.Configuration;
using Aperture.Hypervisor;
using Aperture.Kvm;
using Aperture.Kvm.X86;
using Aperture.Machine.Boot;
using Aperture.Machine.Kinds;

namespace Aperture.Machine;

/// <summary>Chooses the hypervisor of a machine: the one place that knows which there are.</summary>
public static class Hypervisors
{
    // What arm64 has without large addresses.
    private const int UsualArm64Bits = 48;

    /// <summary>
    /// This host's KVM. Where it cannot be had, one that has its limits and says so when the VM is made: what the user got wrong is told even where there is no
    /// KVM.
    /// </summary>
    /// <exception cref="ApertureException">As <see cref="FirmwareAddressBits.Most"/>.</exception>
    public static IHypervisor Open(MachineConfig config)
    {
        ArgumentNullException.ThrowIfNull(config);
        return config.Board == BoardKind.Virt ? OpenArm64(config) : OpenX86(config);
    }

    /// <summary>True where this host's processor runs the guests of <paramref name="board"/>.</summary>
    public static bool RunsHere(BoardKind board) => RuntimeInformation.ProcessArchitecture == ProcessorOf(board);

    /// <summary>The limits of a guest with <paramref name="physicalAddressBits"/>, for a plan that is made without a hypervisor.</summary>
    public static HypervisorLimits LimitsOf(int physicalAddressBits) => KvmHypervisor.LimitsOf(physicalAddressBits);

    /// <summary>As the other overload for the machine of <paramref name="config"/>, which need not be one that this host can run.</summary>
    public static HypervisorLimits LimitsOf(MachineConfig config, int physicalAddressBits)
    {
        ArgumentNullException.ThrowIfNull(config);
        return config.Board == BoardKind.Virt ? KvmHypervisor.Arm64LimitsOf(physicalAddressBits) : LimitsOf(physicalAddressBits);
    }

    private static Architecture ProcessorOf(BoardKind board) => board == BoardKind.Virt ? Architecture.Arm64 : Architecture.X64;

    private static IHypervisor OpenX86(MachineConfig config)
    {
        int? bits = FirmwareAddressBits.Most(config, HostCpu.PhysicalAddressBits());
        HypervisorLimits limits = KvmHypervisor.LimitsOf(HostCpu.PhysicalAddressBits(bits));
        return RunsHere(config.Board)
            ? Open(() => KvmHypervisor.Open(config.Cpus, bits), limits)
            : Missing.For(limits, "this is an arm64 host, and a PC's guests are x86-64; use --machine virt, or a PC's host.");
    }

    private static IHypervisor OpenArm64(MachineConfig config)
    {
        HypervisorLimits limits = KvmHypervisor.Arm64LimitsOf(config.PhysicalAddressBits ?? UsualArm64Bits);
        return RunsHere(config.Board)
            ? Open(() => KvmHypervisor.OpenArm64(config.Cpus, config.PhysicalAddressBits, VirtMachine.GicOf(config.Cpus)), limits)
            : Missing.For(limits, "this is an x86-64 host, and the virt machine's guests are arm64; use --accel lab, or an arm64 host.");
    }

    private static IHypervisor Open(Func<IHypervisor> open, HypervisorLimits limits)
    {
        try
        {
            return open();
        }
        catch (ApertureException missing)
        {
            return new Missing(limits, missing);
        }
    }

    private sealed class Missing(HypervisorLimits limits, ApertureException failure) : IHypervisor
    {
        public HypervisorLimits Limits => limits;

        public static Missing For(HypervisorLimits limits, string sentence) => new(limits, new ApertureException(sentence, ApertureException.HostFailure));

        public IVm CreateVm() => throw failure;

        public void Dispose()
        {
        }
    }
}
