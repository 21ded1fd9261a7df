using Aperture.Linux.Kvm;

namespace Aperture.Kvm;

/// <summary>The inputs of an architecture's interrupt controllers, as KVM numbers them.</summary>
internal abstract class InterruptInputs
{
    /// <summary>How many inputs there are; routes for messages are numbered from here on.</summary>
    public abstract int Count { get; }

    /// <summary>Each input's routes, which come first in every table.</summary>
    public abstract IReadOnlyList<KvmIrqRoutingEntry> Routes { get; }

    /// <summary>The number of input <paramref name="gsi"/> for KVM_IRQ_LINE.</summary>
    public abstract uint LineNumber(uint gsi);

    /// <summary>
    /// True where level-triggered events may raise an input that this process raises too, because KVM knows the two apart; elsewhere the last word of either
    /// would be the input's level.
    /// </summary>
    public abstract bool TakesLevelEvents { get; }

    /// <summary>
    /// The routes by which an event of the number <paramref name="number"/> raises input <paramref name="pin"/>, and with <paramref name="isa"/> that input
    /// of a PC's PICs; none without <see cref="TakesLevelEvents"/>.
    /// </summary>
    public abstract IReadOnlyList<KvmIrqRoutingEntry> Wire(uint number, uint pin, uint? isa);
}
