namespace Aperture.Kvm;

/// <summary>What a host's KVM can run.</summary>
/// <param name="Usable">KVM opens and makes a VM.</param>
/// <param name="Runs64Bit">It runs 64-bit guests.</param>
/// <param name="Sentence">What was found, for people; where something is missing, also what to do.</param>
public sealed record KvmAbility(bool Usable, bool Runs64Bit, string Sentence);
