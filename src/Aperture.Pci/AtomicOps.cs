namespace Aperture.Pci;

/// <summary>
/// What a port does with AtomicOp requests: the bits of device capabilities 2 that say so (PCI Express 5.0, section 7.5.3.15). A driver that wants atomics to
/// reach memory asks for routing in every switch port and for a completer in the root port.
/// </summary>
[Flags]
public enum AtomicOps : uint
{
    /// <summary>Nothing.</summary>
    None = 0,

    /// <summary>Forwards them between its two sides.</summary>
    Routing = 1 << 6,

    /// <summary>Completes FetchAdd, Swap and CAS of 32 bits.</summary>
    Completer32 = 1 << 7,

    /// <summary>Completes FetchAdd, Swap and CAS of 64 bits.</summary>
    Completer64 = 1 << 8,

    /// <summary>Completes CAS of 128 bits.</summary>
    Completer128 = 1 << 9,

    /// <summary>All completers.</summary>
    Completers = Completer32 | Completer64 | Completer128,
}
