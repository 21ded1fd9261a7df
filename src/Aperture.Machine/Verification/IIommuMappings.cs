using Aperture.Assignment;

namespace Aperture.Machine.Verification;

/// <summary>A run of guest memory as the IOMMU of assigned devices has it.</summary>
/// <param name="Range">The addresses, IOVA and guest address alike.</param>
/// <param name="Owner">The region's name.</param>
/// <param name="IsMapped">Devices reach it.</param>
/// <param name="Reason">Why they do not, in one sentence; null when they do.</param>
/// <param name="IsPeer">It is a BAR of an assigned device. Not every kernel maps those for others, and no promise is broken by that.</param>
public sealed record IommuMapping(AddressRange Range, string Owner, bool IsMapped, string? Reason, bool IsPeer = false);

/// <summary>What a server reaches of the guest's memory, for a device that it serves.</summary>
/// <param name="Device">The device.</param>
/// <param name="Mappings">All memory that it was to be given, refused ranges included.</param>
public sealed record ServerMappings(string Device, IReadOnlyList<IommuMapping> Mappings);

/// <summary>Who knows what the IOMMU maps.</summary>
public interface IIommuMappings
{
    /// <summary>All memory that was asked to be mapped, refused ranges included; null while no device is assigned. A snapshot; any thread.</summary>
    IReadOnlyList<IommuMapping>? Snapshot();

    /// <summary>The same for each device that another process serves and that lives. A snapshot; any thread.</summary>
    IReadOnlyList<ServerMappings> Servers() => [];
}

/// <summary>The mappings that assigned devices have.</summary>
/// <param name="iommu">Who makes those of the host's devices, if there is one.</param>
/// <param name="servers">Those of served devices.</param>
internal sealed class AssignedMappings(Func<IommuListener?> iommu, Func<IReadOnlyList<ServerMappings>> servers) : IIommuMappings
{
    /// <inheritdoc/>
    public IReadOnlyList<IommuMapping>? Snapshot() => iommu() is { } listener ? Of(listener) : null;

    /// <inheritdoc/>
    public IReadOnlyList<ServerMappings> Servers() => servers();

    /// <summary>What <paramref name="listener"/> keeps.</summary>
    public static IReadOnlyList<IommuMapping> Of(IommuListener listener) =>
        [.. listener.Results.Concat(listener.Stale).Select(r => new IommuMapping(r.Range, r.Region.Name, r.IsMapped, r.Reason, r.IsPeerToPeer))];
}
