namespace Aperture.Kvm;

/// <summary>Finds out what a host's KVM can run, by running it.</summary>
internal static class AbilityProbe
{
    public static KvmAbility Run(string path) => new(false, false, path);
}
