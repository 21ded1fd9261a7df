namespace Aperture.Mediation.Nvme;

/// <summary>The blocks of the drive that are one guest's.</summary>
/// <param name="First">The first one.</param>
/// <param name="Count">How many.</param>
internal readonly record struct BlockShare(ulong First, ulong Count)
{
    /// <summary>True when <paramref name="count"/> blocks from the guest's block <paramref name="first"/> on are the guest's.</summary>
    public bool Has(ulong first, ulong count) => first < Count && count <= Count - first;
}
