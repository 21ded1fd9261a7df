using Aperture.Hypervisor.Arm64;
using Aperture.Linux.Kvm;

namespace Aperture.Kvm.Arm64;

/// <summary>The shared inputs of a GIC, from 0 (INTID 32).</summary>
/// <param name="count">How many there are.</param>
internal sealed class GicInputs(int count) : InterruptInputs
{
    // KVM_IRQ_ROUTING_IRQCHIP of linux/kvm.h; a GIC is controller 0 and its pins are numbered as inputs are here.
    private const uint ToPin = 1;

    /// <inheritdoc/>
    public override int Count => count;

    /// <inheritdoc/>
    public override IReadOnlyList<KvmIrqRoutingEntry> Routes { get; } =
        [.. Enumerable.Range(0, count).Select(input => new KvmIrqRoutingEntry { Gsi = (uint)input, Type = ToPin, Pin = (uint)input })];

    /// <summary>False: KVM keeps one level an input, whoever sets it.</summary>
    public override bool TakesLevelEvents => false;

    /// <inheritdoc/>
    public override uint LineNumber(uint gsi) => KvmArm64.SharedLine | (GicDescription.FirstSpi + gsi);

    /// <inheritdoc/>
    public override IReadOnlyList<KvmIrqRoutingEntry> Wire(uint number, uint pin, uint? isa) => [];
}
