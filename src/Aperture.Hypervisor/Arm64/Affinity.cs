namespace Aperture.Hypervisor.Arm64;

/// <summary>
/// A vCPU's place as the guest sees it, by which it is started and by which interrupts find it (MPIDR_EL1, Arm ARM D19.2.101). As KVM numbers them: sixteen
/// of the lowest level to a group, because a GICv3 sends to sixteen at a time.
/// </summary>
/// <param name="Value">Aff2 in 23:16, Aff1 in 15:8, Aff0 in 7:0; what <c>reg</c> of a device tree's cpu node, and MPIDR of the ACPI tables' GICC, say.</param>
public readonly record struct Affinity(uint Value)
{
    /// <summary>The place of vCPU <paramref name="index"/>.</summary>
    public static Affinity Of(int index)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(index);
        uint number = (uint)index;
        return new Affinity((number & 0xF) | ((number >> 4 & 0xFF) << 8) | ((number >> 12 & 0xFF) << 16));
    }
}
