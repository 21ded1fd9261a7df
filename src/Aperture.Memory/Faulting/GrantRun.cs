using Aperture.Linux;

namespace Aperture.Memory.Faulting;

/// <summary>What is behind pages of a <see cref="FaultingMemory"/>.</summary>
public enum GrantRunKind : byte
{
    /// <summary>What was granted.</summary>
    Granted,

    /// <summary>
    /// This process's own for a moment, because a touch was refused: all-ones, or a copy of what may only be read and was written.
    /// </summary>
    Refused,
}

/// <summary>Pages that are in place, in one piece of one source.</summary>
/// <param name="Offset">Of the first page in the memory, in bytes.</param>
/// <param name="Size">Bytes; whole pages.</param>
/// <param name="Kind">What they are.</param>
/// <param name="Source">The source's number, as who grants counts them; 0 for refused pages.</param>
/// <param name="SourceOffset">Of the first page in the source.</param>
/// <param name="IsWritable">The guest may write.</param>
public readonly record struct GrantRun(ulong Offset, ulong Size, GrantRunKind Kind, ulong Source, ulong SourceOffset, bool IsWritable)
{
    /// <summary>The first byte behind the run.</summary>
    internal ulong End => Offset + Size;

    // What is left of the run from an offset inside it on.
    internal GrantRun From(ulong offset) => this with
    {
        Offset = offset,
        Size = End - offset,
        SourceOffset = Kind == GrantRunKind.Granted ? SourceOffset + (offset - Offset) : 0,
    };

    // One mapping of the kernel can be both.
    internal bool GoesOnIn(in GrantRun next) => Kind == GrantRunKind.Granted && next.Kind == GrantRunKind.Granted && End == next.Offset
        && Source == next.Source && SourceOffset + Size == next.SourceOffset && IsWritable == next.IsWritable;
}

/// <summary>What pages are granted from.</summary>
/// <param name="Number">The source's number.</param>
/// <param name="File">The memory object, always the same of a number; open while touches are answered.</param>
/// <param name="Offset">Of the first page in it.</param>
/// <param name="IsWritable">The guest may write.</param>
public readonly record struct GrantSource(ulong Number, SafeFileDescriptor File, ulong Offset, bool IsWritable);

/// <summary>What happened to a <see cref="FaultingMemory"/> so far.</summary>
/// <param name="Faults">Touches of pages that were not there.</param>
/// <param name="Grants">Grants put in place.</param>
/// <param name="Revocations">Revocations that took something out.</param>
/// <param name="Refusals">Touches that were refused.</param>
public readonly record struct FaultCounts(long Faults, long Grants, long Revocations, long Refusals);

/// <summary>Answers touches of pages that are not there.</summary>
public interface IFaultAnswerer
{
    /// <summary>
    /// A page was touched: true when it was put in place (<see cref="FaultingMemory.Grant"/>) or need not be any more, false to refuse it. On the pager's
    /// thread, one touch at a time, with no lock held. The processor that touched waits, and with it perhaps who wants to change memory slots: it answers in
    /// bounded time, and needs neither of them.
    /// </summary>
    bool Touched(FaultingMemory memory, ulong offset);
}
