using Xunit.Sdk;
using Xunit.v3;

namespace Aperture.Guest.Tests;

/// <summary>
/// Tests that start a machine of their own, as users do, come first: no shared machine has to end for them. Then those that take long, so that none is left
/// alone at the end.
/// </summary>
public sealed class OwnMachinesFirst : ITestCollectionOrderer
{
    private static readonly string[] Order =
    [
        nameof(LabDiskTests), nameof(LabDocumentedCommandTests), nameof(LabPassthroughGuestTests), nameof(LabFirmwareDemoTests),
        nameof(PassthroughFaultTests), nameof(LabFirmwareGuestTests), nameof(LabOvmfTests), nameof(LabDebianGuestTests),
    ];

    /// <inheritdoc/>
    public IReadOnlyCollection<TTestCollection> OrderTestCollections<TTestCollection>(IReadOnlyCollection<TTestCollection> testCollections)
        where TTestCollection : ITestCollection => [.. testCollections.OrderBy(collection => Place(collection))];

    private static int Place(ITestCollection collection)
    {
        int at = Array.FindIndex(Order, name => collection.TestCollectionDisplayName.Contains(name, StringComparison.Ordinal));
        return at < 0 ? Order.Length : at;
    }
}
