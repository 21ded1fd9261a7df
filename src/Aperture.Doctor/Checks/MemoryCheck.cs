using System.Collections.Immutable;
using Aperture.Host.Model;

namespace Aperture.Doctor.Checks;

/// <summary>Locked memory, cgroups and huge pages: all of a guest's RAM is locked while a device may reach it.</summary>
internal static class MemoryCheck
{
    private const string Locked = "memlock";
    private const string Pages = "hugepages";
    private const ulong Gigabyte = 1UL << 30;

    internal static IEnumerable<Verdict> Look(Examination examination)
    {
        HostProcessLimits? limits = examination.System.Limits;
        yield return Limit(examination, limits);
        if (limits?.CgroupBytes is { } most and not ulong.MaxValue)
        {
            yield return new Verdict(VerdictKind.Note, "cgroup", [],
                $"A guest started from here has {ByteSize.Format(most)} at most, with all of its RAM resident from the start.",
                $"memory.max={most}, the least of the cgroups of {Whose(examination)}")
            {
                Changes = ["systemd-run --scope -p MemoryMax=infinity ..., or MemoryMax= of the service"],
            };
        }

        yield return Huge(examination);
    }

    private static Verdict Limit(Examination examination, HostProcessLimits? limits)
    {
        if (limits?.LockedBytes is not { } bytes)
        {
            return new Verdict(VerdictKind.Unknown, Locked, [], "How much memory a process may lock is not known.",
                $"no /proc/self/limits in {examination.Host.Origin.Name}")
            {
                Changes = ["ulimit -l"],
            };
        }

        string seen = $"/proc/self/limits of {Whose(examination)}: Max locked memory {(bytes == ulong.MaxValue ? "unlimited" : $"{bytes} bytes")}"
            + (limits.MayPassLimit is { } passes ? $"; CapEff {(passes ? "has" : "lacks")} CAP_IPC_LOCK" : "");
        return bytes == ulong.MaxValue || limits.MayPassLimit == true
            ? new Verdict(VerdictKind.Good, Locked, [], "A process started here may lock all of a guest's RAM.", seen)
            : new Verdict(VerdictKind.Should, Locked, [],
                $"A process may lock {ByteSize.Format(bytes)}: a guest with a device and more RAM than that does not start (libvirt raises the limit by "
                    + "itself).", seen)
            {
                Changes =
                [
                    "for a service: LimitMEMLOCK=infinity; for a user: 'USER - memlock unlimited' in /etc/security/limits.d/vfio.conf, then log in anew",
                ],
            };
    }

    private static Verdict Huge(Examination examination)
    {
        if (examination.System.HugePages is not { } all)
        {
            return new Verdict(VerdictKind.Unknown, Pages, [], "Whether huge pages are set aside is not known.",
                $"no /sys/kernel/mm/hugepages in {examination.Host.Origin.Name}")
            { Changes = [examination.CaptureCommand] };
        }

        ImmutableArray<HostHugePages> pools = [.. all.Where(static pool => pool.Node is null)];
        string seen = pools.IsEmpty ? "/sys/kernel/mm/hugepages is empty" : string.Join(", ", pools.OrderByDescending(static pool => pool.PageSize)
            .Select(static pool => $"/sys/kernel/mm/hugepages/hugepages-{pool.PageSize >> 10}kB: {pool.Free} of {pool.Total} free"));
        if (pools.Any(static pool => pool.Free > 0))
        {
            return new Verdict(VerdictKind.Good, Pages, [], "Huge pages are set aside and free: fewer entries in the IOMMU's and the processor's "
                + "tables.", seen);
        }

        ulong page = pools.Any(static pool => pool.PageSize == Gigabyte) ? Gigabyte : 2UL << 20;
        int node = examination.Devices.FirstOrDefault(static device => device.NumaNode is not null)?.NumaNode ?? 0;
        return new Verdict(VerdictKind.Note, Pages, [],
            "No huge pages are free: RAM in small pages costs devices and processor more table walks (transparent ones help in part).", seen)
        {
            Changes =
            [
                $"8 GiB: echo {(8 * Gigabyte) / page} > /sys/devices/system/node/node{node}/hugepages/hugepages-{page >> 10}kB/nr_hugepages"
                    + (page == Gigabyte ? "; from the start: hugepagesz=1G hugepages=8 on the kernel's command line" : ""),
            ],
        };
    }

    private static string Whose(Examination examination) => examination.IsLive ? "this process" : "the process that made the capture";
}
