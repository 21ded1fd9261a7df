using Aperture.Memory;

namespace Aperture.Mediation;

/// <summary>A touch of a page that was not granted.</summary>
/// <param name="Bar">Index of the BAR.</param>
/// <param name="Offset">Bytes from its start; which byte of the page was touched.</param>
/// <param name="IsWrite">The guest wants to write. A monitor that maps pages may not know: then false.</param>
public readonly record struct Fault(int Bar, ulong Offset, bool IsWrite);

/// <summary>What a guest may do with granted pages without anybody being asked.</summary>
public enum GrantProtection : byte
{
    /// <summary>Read; a write faults.</summary>
    Read,

    /// <summary>Read and write.</summary>
    ReadWrite,
}

/// <summary>Pages of a BAR and the memory that stands behind them.</summary>
/// <param name="Bar">Index of the BAR.</param>
/// <param name="Offset">Bytes from its start; whole pages.</param>
/// <param name="Size">Bytes; whole pages, at least one.</param>
/// <param name="Source">The memory: a shared <see cref="RamBlock"/> of this process, or a device's.</param>
/// <param name="SourceOffset">Where in it the first byte is; whole pages.</param>
/// <param name="Protection">What the guest may do.</param>
/// <param name="IsShared">Other guests may have the same pages, which have to be shared there too.</param>
public sealed record Grant(int Bar, ulong Offset, ulong Size, GrantSource Source, ulong SourceOffset, GrantProtection Protection, bool IsShared = false)
{
    /// <summary>The first byte behind it in the BAR.</summary>
    public ulong End => Offset + Size;

    /// <summary>The part of it from <paramref name="offset"/> of the BAR on, of <paramref name="size"/> bytes.</summary>
    internal Grant Cut(ulong offset, ulong size) => this with { Offset = offset, Size = size, SourceOffset = SourceOffset + (offset - Offset) };

    /// <inheritdoc/>
    public override string ToString() =>
        $"BAR {Bar} 0x{Offset:x} to 0x{End - 1:x} from {Source.Name} 0x{SourceOffset:x}{(Protection == GrantProtection.Read ? ", read-only" : "")}";
}

/// <summary>How a mediator answers a fault.</summary>
public abstract record FaultAnswer
{
    private FaultAnswer()
    {
    }

    /// <summary>This one access is for <see cref="IMediatorSession.Read"/> or <see cref="IMediatorSession.Write"/>; the next touch faults again.</summary>
    public static FaultAnswer Trap { get; } = new TrapAnswer();

    /// <summary>The page is not the guest's: it reads all-ones and loses its write, which is counted and reported. The next touch faults again.</summary>
    public static FaultAnswer Refuse { get; } = new RefuseAnswer();

    /// <summary>
    /// The guest has these pages from now on, until they are revoked. They cover the touched page, and may cover more: pages that the guest already has, which
    /// then must be the same memory, and pages that it never touched.
    /// </summary>
    public static FaultAnswer Give(Grant grant) => new GrantAnswer(grant);

    internal sealed record TrapAnswer : FaultAnswer;

    internal sealed record RefuseAnswer : FaultAnswer;

    internal sealed record GrantAnswer(Grant Grant) : FaultAnswer;
}
