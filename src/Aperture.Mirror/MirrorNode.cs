using Aperture.Host.Model;
using Aperture.Placement.Request;

namespace Aperture.Mirror;

/// <summary>A function of the guest's tree while that is put together.</summary>
/// <param name="name">Its name in the request: the host address.</param>
/// <param name="deviceFunction">Its place on that bus.</param>
internal sealed class MirrorNode(string name, byte deviceFunction)
{
    public string Name => name;

    public byte DeviceFunction { get; set; } = deviceFunction;

    /// <summary>The host function it stands for; null for a place holder.</summary>
    public HostFunction? Host { get; init; }

    /// <summary>A function of the guest's own.</summary>
    public FunctionDemand? Own { get; init; }

    public bool IsBridge { get; init; }

    /// <summary>The bus below, as on the host.</summary>
    public byte Secondary { get; init; }

    /// <summary>The highest bus below, as on the host.</summary>
    public byte Subordinate { get; init; }

    public List<MirrorNode> Children { get; } = [];

    /// <summary>What is pinned; null until the BARs are looked at.</summary>
    public IReadOnlyList<BarDemand> Bars { get; set; } = [];

    public SriovDemand? Sriov { get; set; }
}

/// <summary>The tree below one host bridge.</summary>
/// <param name="Name">Its name in the request.</param>
/// <param name="Domain">The PCI domain, which becomes the segment.</param>
/// <param name="RootBus">The root bus.</param>
internal sealed record MirrorRoot(string Name, uint Domain, byte RootBus)
{
    /// <summary>The last bus number below it.</summary>
    public byte LastBus { get; set; } = 0xFF;

    public List<MirrorNode> Functions { get; } = [];
}
