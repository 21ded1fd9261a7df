using Aperture.Memory;

namespace Aperture.Assignment;

/// <summary>A piece of a BAR and what answers there. The pieces of a BAR are sorted, do not overlap and cover it.</summary>
/// <param name="Offset">Bytes from the BAR's start.</param>
/// <param name="Region">What answers.</param>
public sealed record BarPart(ulong Offset, Region Region);
