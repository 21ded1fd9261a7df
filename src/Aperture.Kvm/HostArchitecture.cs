using System.Runtime.InteropServices;
using Aperture.Kvm.Arm64;
using Aperture.Kvm.X86;
using Aperture.Linux.Kvm;

namespace Aperture.Kvm;

/// <summary>What of this host's KVM is its processor architecture's; of a VM, <see cref="VmArchitecture"/> is.</summary>
internal abstract class HostArchitecture
{
    /// <summary>The one that this program was compiled for.</summary>
    public static HostArchitecture Current { get; } =
        RuntimeInformation.ProcessArchitecture == Architecture.Arm64 ? new Arm64Host() : new X86Host();

    /// <summary>Parts of KVM that every VM needs here, beyond what it needs everywhere, with their names for people.</summary>
    public abstract IReadOnlyList<(KvmCapability Capability, string What)> Needed { get; }

    /// <summary>What to do where the device file is absent: the rest of a sentence.</summary>
    public abstract string WhenAbsent { get; }

    /// <summary>What to do where the device file has no driver: the rest of a sentence.</summary>
    public abstract string WhenWithoutDriver { get; }

    /// <summary>Finds out what the KVM at <paramref name="path"/> can run. Never throws.</summary>
    public abstract KvmAbility Probe(string path);
}
