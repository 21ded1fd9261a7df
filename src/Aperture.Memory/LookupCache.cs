namespace Aperture.Memory;

/// <summary>
/// Remembers where the last lookup ended. One per vCPU or device thread, never shared; it belongs to one view and counts for nothing in another.
/// A default value is an empty cache.
/// </summary>
public struct LookupCache
{
    internal FlatView? View;
    internal int Index;
}
