namespace Aperture.Memory;

/// <summary>
/// Remembers where the last lookup ended. One per vCPU or device thread, never shared. It is a hint: a lookup believes it only when the run at that
/// index of its own view holds the address, so a cache from an older view costs a search and never gives a wrong answer. A default value is an empty cache.
/// </summary>
public struct LookupCache
{
    internal int Index;
}
