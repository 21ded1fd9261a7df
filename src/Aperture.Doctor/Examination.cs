using System.Collections.Immutable;
using Aperture.Host.Analysis;
using Aperture.Host.Model;
using Aperture.Pci;

namespace Aperture.Doctor;

/// <summary>What is looked at: a machine, those of its devices that count, and for what.</summary>
/// <param name="Host">The machine.</param>
/// <param name="Devices">The devices, in address order.</param>
/// <param name="Goals">What they are wanted for.</param>
internal sealed record Examination(HostMachine Host, ImmutableArray<HostFunction> Devices, Goals Goals)
{
    private const int MostNames = 6;
    private readonly Dictionary<PciAddress, ImmutableArray<HostFunction>> _above = [];

    /// <summary>Why <c>--mirror</c> has no map for them, a sentence each; null where nobody tried.</summary>
    internal IReadOnlyList<string>? MirrorConflicts { get; init; }

    /// <summary>What is not PCI.</summary>
    internal HostSystem System => Host.System;

    /// <summary>True when the machine is this one.</summary>
    internal bool IsLive => Host.Origin.Kind == HostOriginKind.LiveSysfs;

    /// <summary>True when the source says which drivers are bound: a description in which nothing has one leaves them out.</summary>
    internal bool KnowsDrivers => IsLive || Host.Functions.Any(static function => function.Driver is not null);

    /// <summary>How to come by what the description lacks.</summary>
    internal string CaptureCommand => IsLive ? "run this command again as root" : "as root on that machine: aperture host --save host.tar.gz, then "
        + "--host host.tar.gz here";

    /// <summary>The bridges above, nearest first.</summary>
    internal ImmutableArray<HostFunction> Above(HostFunction function)
    {
        if (!_above.TryGetValue(function.Address, out ImmutableArray<HostFunction> bridges))
        {
            _above.Add(function.Address, bridges = HostTopology.BridgesAbove(Host, function));
        }

        return bridges;
    }

    /// <summary>The file or folder of a function in sysfs.</summary>
    internal static string Place(HostFunction function, string name) => $"/sys/bus/pci/devices/{function.Address}/{name}";

    /// <summary>Some addresses, the first six in full.</summary>
    internal static string Names(IEnumerable<PciAddress> functions) => Some([.. functions.Select(static address => address.ToString())], MostNames);

    /// <summary>Some addresses, the first six in full.</summary>
    internal static string Names(IEnumerable<HostFunction> functions) => Names(functions.Select(static function => function.Address));

    /// <summary>The first <paramref name="most"/> of some texts, and how many more there are.</summary>
    internal static string Some(IReadOnlyList<string> texts, int most) =>
        texts.Count <= most + 1 ? string.Join(", ", texts) : $"{string.Join(", ", texts.Take(most))} and {texts.Count - most} more";

    /// <summary>The addresses of functions, for a verdict.</summary>
    internal static ImmutableArray<PciAddress> Addresses(IEnumerable<HostFunction> functions) =>
        [.. functions.Select(static function => function.Address).Distinct().Order()];

    /// <summary>A BAR as <c>bar0 64G at 0x39e000000000</c>.</summary>
    internal static string Describe(HostBar bar) => $"{BarKinds.BarName(bar.Index)} {ByteSize.Format(bar.Size)} at {bar.Address?.ToString() ?? "no address"}";
}
