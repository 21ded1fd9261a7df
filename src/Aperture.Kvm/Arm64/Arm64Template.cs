using Aperture.Hypervisor.Arm64;

namespace Aperture.Kvm.Arm64;

/// <summary>An arm64 machine, as its VM has to know it.</summary>
/// <param name="Cpus">vCPUs.</param>
/// <param name="AddressBits">Width of guest physical addresses (KVM calls them intermediate, IPA), 32 at least.</param>
/// <param name="Gic">The interrupt controller; without in-kernel controllers it is not made.</param>
/// <param name="Features">What vCPUs have.</param>
public sealed record Arm64Template(int Cpus, int AddressBits, GicDescription Gic, Arm64Features Features);

/// <summary>What vCPUs may have beyond the base of the architecture, where the host has it.</summary>
/// <param name="Pmu">Performance counters (PMUv3).</param>
/// <param name="Sve">The scalable vector extension.</param>
/// <param name="PointerAuthentication">Pointer authentication, of addresses and generic.</param>
public readonly record struct Arm64Features(bool Pmu, bool Sve, bool PointerAuthentication)
{
    /// <summary>All that <paramref name="system"/> has.</summary>
    public static Arm64Features OfHost(KvmSystem system)
    {
        ArgumentNullException.ThrowIfNull(system);
        return new Arm64Features(
            system.Check(Linux.Kvm.KvmCapability.PmuV3) != 0,
            system.Check(Linux.Kvm.KvmCapability.Sve) != 0,
            system.Check(Linux.Kvm.KvmCapability.PointerAuthenticationAddress) != 0 && system.Check(Linux.Kvm.KvmCapability.PointerAuthenticationGeneric) != 0);
    }
}
