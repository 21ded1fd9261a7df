namespace Aperture.Machine.Verification;

/// <summary>A run of guest memory as the IOMMU of assigned devices has it.</summary>
/// <param name="Range">The addresses, IOVA and guest address alike.</param>
/// <param name="Owner">The region's name.</param>
/// <param name="IsMapped">Devices reach it.</param>
/// <param name="Reason">Why they do not, in one sentence; null when they do.</param>
public readonly record struct IommuMapping(AddressRange Range, string Owner, bool IsMapped, string? Reason);

/// <summary>Who knows what the IOMMU maps.</summary>
public interface IIommuMappings
{
    /// <summary>All memory that was asked to be mapped, refused ranges included; null while no device is assigned. A snapshot; any thread.</summary>
    IReadOnlyList<IommuMapping>? Snapshot();
}
