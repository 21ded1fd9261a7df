using System.Globalization;
using Aperture.Hypervisor.Arm64;
using Aperture.Linux;
using Aperture.Linux.Kvm;

namespace Aperture.Kvm.Arm64;

/// <summary>An arm64 machine's VM: GICv3 and ITS in the kernel, PSCI and timers too.</summary>
/// <param name="template">The machine.</param>
/// <param name="hasInterruptControllers">False leaves the GIC out.</param>
internal sealed class Arm64Vm(Arm64Template template, bool hasInterruptControllers) : VmArchitecture
{
    // What KVM gives without being asked, and all it gives where it cannot be asked (KVM API 4.2).
    private const int DefaultAddressBits = 40;

    // What the numbering of redistributors in KVM allows.
    private const int MaximumCount = 512;

    private Gic? _gic;

    /// <inheritdoc/>
    public override InterruptInputs Inputs { get; } = new GicInputs(template.Gic.SpiCount);

    /// <summary>The most bits of guest addresses that <paramref name="system"/> gives.</summary>
    public static int MostAddressBits(KvmSystem system) => system.Check(KvmCapability.GuestAddressBits) is > 0 and int bits ? bits : DefaultAddressBits;

    /// <summary>The machine type is the number of address bits.</summary>
    public override ulong MachineType(KvmSystem system)
    {
        int most = MostAddressBits(system);
        if (template.AddressBits > most)
        {
            throw KvmSystem.Failure(string.Create(
                CultureInfo.InvariantCulture,
                $"the guest was to have {template.AddressBits} physical address bits and this host's KVM gives {most} (KVM_CAP_ARM_VM_IPA_SIZE); give fewer."));
        }

        return system.Check(KvmCapability.GuestAddressBits) > 0 ? (ulong)Math.Max(32, template.AddressBits) : 0;
    }

    /// <inheritdoc/>
    public override void SetUp(KvmVm vm)
    {
        // Where the kernel cannot (before Linux 5.5), KVM_RUN fails instead, and says less.
        _ = KvmIoctl.TryEnable(vm.Descriptor, KvmCapability.UndecodedAccesses);
        _gic = hasInterruptControllers ? Gic.Begin(vm.Descriptor, template.Gic) : null;
    }

    /// <summary>The doorbell of the translation service.</summary>
    public override bool Takes(GuestAddress address) => address == template.Gic.Doorbell;

    /// <summary>The requester's id, by which the service translates; the device tree and the IORT map ids to themselves.</summary>
    public override uint? DeviceId(Bdf requester) => requester.RoutingId;

    /// <inheritdoc/>
    public override PreparedVcpus PrepareVcpus(KvmVm vm)
    {
        uint target = KvmIoctl.GetPreferredTarget(vm.Descriptor);
        List<SafeFileDescriptor> made = [];
        PreparedVcpus vcpus = PreparedVcpus.Create(vm, template.Cpus, MaximumCount, (vcpu, index) =>
        {
            Arm64VcpuState state = new(target, FeaturesOf(index));
            state.Initialize(vcpu);
            made.Add(vcpu);
            return state;
        });
        try
        {
            if (_gic is not null)
            {
                _gic.Finish(vm.Descriptor, template.Cpus);
                if (template.Features.Pmu)
                {
                    made.ForEach(ConnectPmu);
                }

                // Finishing the controller puts KVM's own table in place.
                vm.Routes.ApplyNow();
            }

            return vcpus;
        }
        catch
        {
            vcpus.Dispose();
            throw;
        }
    }

    /// <inheritdoc/>
    public override void ResetInterruptControllers(KvmVm vm) => _gic?.Reset();

    /// <inheritdoc/>
    public override void Dispose() => _gic?.Dispose();

    private static void ConnectPmu(SafeFileDescriptor vcpu)
    {
        const string Refused = "cannot connect a vCPU's performance counters";
        KvmIoctl.SetDeviceAttribute(vcpu, KvmArm64.GroupPmu, KvmArm64.PmuInterrupt, Arm64Guest.PmuInterrupt, Refused);
        KvmIoctl.SetDeviceAttribute(vcpu, KvmArm64.GroupPmu, KvmArm64.PmuInitialize, 0, Refused);
    }

    private uint FeaturesOf(int index)
    {
        uint features = 1u << KvmArm64.FeaturePsci;
        features |= index == 0 ? 0 : 1u << KvmArm64.FeaturePowerOff;

        // Without a controller nothing takes the counters' interrupt.
        features |= template.Features.Pmu && hasInterruptControllers ? 1u << KvmArm64.FeaturePmu : 0;
        features |= template.Features.Sve ? 1u << KvmArm64.FeatureSve : 0;
        features |= template.Features.PointerAuthentication
            ? (1u << KvmArm64.FeaturePointerAuthenticationAddress) | (1u << KvmArm64.FeaturePointerAuthenticationGeneric)
            : 0;
        return features;
    }
}
