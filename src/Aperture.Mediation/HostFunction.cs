using Aperture.Assignment;

namespace Aperture.Mediation;

/// <summary>A function of the host that is a mediator's alone. Whoever opens it knows the kernel's interfaces; a mediator does not.</summary>
/// <param name="Device">The function. Disposed before the owner.</param>
/// <param name="Iommu">What its DMA reaches: nothing yet.</param>
/// <param name="Owner">Disposed last: gives the function back to the host.</param>
public sealed record HostFunction(IVfioDevice Device, IIommuMap Iommu, IDisposable Owner);
