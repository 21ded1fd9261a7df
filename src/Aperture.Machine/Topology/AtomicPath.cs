using Aperture.Host.Model;
using Aperture.Pci;

namespace Aperture.Machine.Topology;

/// <summary>Which AtomicOps of a device reach the host's memory.</summary>
internal static class AtomicPath
{
    /// <summary>
    /// The completers of the root port above <paramref name="function"/> when every switch port between forwards AtomicOps; none when one does not or blocks
    /// them, when there is no root port, or when the description does not tell.
    /// </summary>
    public static AtomicOps Of(HostMachine host, HostFunction function)
    {
        for (HostFunction? port = Above(host, function); port is not null; port = Above(host, port))
        {
            switch (port.Pcie)
            {
                case { Type: HostPortType.RootPort } root:
                    return root.Atomics & AtomicOps.Completers;
                case { Type: HostPortType.SwitchUpstream or HostPortType.SwitchDownstream, BlocksAtomics: false } between
                    when between.Atomics.HasFlag(AtomicOps.Routing):
                    break;
                default:
                    return AtomicOps.None;
            }
        }

        return AtomicOps.None;
    }

    private static HostFunction? Above(HostMachine host, HostFunction function) => function.Parent is { } parent ? host.Find(parent) : null;
}
