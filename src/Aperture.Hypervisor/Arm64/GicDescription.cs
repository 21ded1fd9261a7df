namespace Aperture.Hypervisor.Arm64;

/// <summary>
/// The guest's interrupt controller, a GICv3 (Arm IHI 0069): where its frames are and how many inputs it has. The board decides, the hypervisor makes it so.
/// Inputs are numbered by shared peripheral interrupt (SPI): input n is INTID 32 + n, and <see cref="IVm.Line"/> takes n.
/// </summary>
/// <param name="Distributor">The distributor's frame, 64 KiB.</param>
/// <param name="Redistributors">Where the vCPUs' redistributors are, in the order of the vCPUs; as many as there are vCPUs or more.</param>
/// <param name="Its">The interrupt translation service, which turns messages into interrupts; null: devices cannot send any.</param>
/// <param name="SpiCount">Shared inputs, a multiple of 32 up to 960; not all of the last 32 numbers exist (at most 988).</param>
public sealed record GicDescription(GuestAddress Distributor, IReadOnlyList<RedistributorRegion> Redistributors, GuestAddress? Its, int SpiCount)
{
    /// <summary>INTID of input 0 (IHI 0069, 2.2.1).</summary>
    public const int FirstSpi = 32;

    /// <summary>Where GITS_TRANSLATER, the doorbell that messages are written to, is in the translation service (IHI 0069, 12.19).</summary>
    public const ulong DoorbellOffset = 0x1_0040;

    /// <summary>The address of messages; null without <see cref="Its"/>.</summary>
    public GuestAddress? Doorbell => Its is { } its ? its + DoorbellOffset : null;
}

/// <summary>A run of redistributors, one a vCPU.</summary>
/// <param name="Start">The first frame.</param>
/// <param name="Count">How many vCPUs it serves.</param>
public readonly record struct RedistributorRegion(GuestAddress Start, int Count)
{
    /// <summary>Bytes of one vCPU: the frame of control registers and that of private interrupts (IHI 0069, 12.10).</summary>
    public const ulong Stride = 0x2_0000;

    /// <summary>The addresses.</summary>
    public AddressRange Range => new(Start, (ulong)Count * Stride);
}
