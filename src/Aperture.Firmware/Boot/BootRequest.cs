using Aperture.Firmware.Memory;

namespace Aperture.Firmware.Boot;

/// <summary>What a direct boot is asked to do beside its kernel.</summary>
public sealed record BootRequest
{
    /// <summary>The map the guest will be given, from <see cref="MemoryMap"/>; only its RAM is used for loading.</summary>
    public required IReadOnlyList<MemoryMapEntry> MemoryMap { get; init; }

    /// <summary>The ACPI root pointer, or 0.</summary>
    public GuestAddress RsdpAddress { get; init; }

    /// <summary>The kernel command line, without its terminating zero.</summary>
    public string CommandLine { get; init; } = "";

    /// <summary>The initial RAM file system, or null.</summary>
    public BootFile? Initramfs { get; init; }
}
