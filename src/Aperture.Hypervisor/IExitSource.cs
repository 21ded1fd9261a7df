namespace Aperture.Hypervisor;

/// <summary>Where exits will come from, made before there is anybody to answer them. Disposing gives back what was not begun.</summary>
public interface IExitSource : IDisposable
{
    /// <summary>Ties each source of exits to who answers it; the result owns everything from here on. Once.</summary>
    /// <param name="answer">Makes the handler of each source, given its index from 0: a vCPU's, where there are vCPUs.</param>
    /// <exception cref="ApertureException">The host refuses.</exception>
    IExits Begin(Func<int, IVcpuExits> answer);
}

/// <summary>A VM's exits as they come. Dispose it before the VM and before what answers, not on a thread that answers: no exit comes after that.</summary>
public interface IExits : IDisposable
{
    /// <summary>The vCPUs, stopped at first; null where they are another's, and exits come as soon as that one lets them run.</summary>
    IVcpus? Vcpus { get; }

    /// <summary>How often the guest left to this process, all sources together. While it runs it may lag behind.</summary>
    long Count { get; }

    /// <summary>The hypervisor's own counts, by its names, of exits of which this process saw nothing or not all; empty where it has none.</summary>
    IReadOnlyDictionary<string, ulong> HypervisorCounts { get; }
}
