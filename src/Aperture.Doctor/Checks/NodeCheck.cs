using Aperture.Host.Model;

namespace Aperture.Doctor.Checks;

/// <summary>Which NUMA nodes the devices are on: the guest's processors and RAM belong there too.</summary>
internal static class NodeCheck
{
    private const string Name = "numa";

    internal static IEnumerable<Verdict> Look(Examination examination)
    {
        HostMachine host = examination.Host;
        if (host.NumaNodes.Length < 2)
        {
            yield return host.NumaNodes.IsEmpty && !examination.IsLive
                ? new Verdict(VerdictKind.Unknown, Name, [], "Which processors are near the devices is not known.",
                    $"no /sys/devices/system/node in {host.Origin.Name}")
                {
                    Changes = [examination.CaptureCommand],
                }
                : new Verdict(VerdictKind.Good, Name, [], "There is one NUMA node, so nothing is far.",
                    $"/sys/devices/system/node {(host.NumaNodes.IsEmpty ? "is not there: the kernel knows no nodes" : "has node0 only")}");
            yield break;
        }

        List<HostFunction> homeless = [.. examination.Devices.Where(static device => device.NumaNode is null)];
        if (homeless.Count != 0)
        {
            yield return new Verdict(VerdictKind.Unknown, Name, Examination.Addresses(homeless),
                $"{Examination.Names(homeless)}: the firmware does not tell which node is near.", $"{Examination.Place(homeless[0], "numa_node")}=-1 or "
                    + "not there")
            {
                Changes = ["update the firmware (ACPI _PXM), or find out by the slot in the board's manual"],
            };
        }

        List<IGrouping<int, HostFunction>> nodes =
            [.. examination.Devices.Where(static device => device.NumaNode is not null).GroupBy(static device => device.NumaNode!.Value)
                .OrderBy(static n => n.Key)];
        foreach (IGrouping<int, HostFunction> devices in nodes)
        {
            yield return Of(host, devices.Key, [.. devices], nodes.Count > 1);
        }
    }

    private static Verdict Of(HostMachine host, int number, List<HostFunction> devices, bool spread)
    {
        HostNumaNode? node = host.NumaNodes.FirstOrDefault(node => node.Number == number);
        string names = Examination.Names(devices);
        string seen = $"{Examination.Place(devices[0], "numa_node")}={number}; /sys/devices/system/node/node{number}: CPUs "
            + $"{(node is { Cpus.Length: > 0 } ? node.Cpus : "none")}, memory {(node?.MemoryBytes is { } bytes ? ByteSize.Format(bytes) : "not told")}";
        bool bare = node is { Cpus.Length: 0 } or { MemoryBytes: 0 };
        return new Verdict(bare ? VerdictKind.Should : VerdictKind.Note, Name, Examination.Addresses(devices),
            bare ? $"{names}: on node {number}, which lacks processors or memory: everything they do crosses the link between processors."
                : $"{names}: on node {number}{(spread ? ", others are not" : ", all of them")}; a guest with them runs best there.",
            seen)
        {
            Changes = bare ? ["populate the memory channels of that processor"] : [$"numactl --cpunodebind={number} --membind={number} aperture run ..."],
        };
    }
}
