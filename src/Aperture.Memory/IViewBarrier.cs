namespace Aperture.Memory;

/// <summary>Keeps vCPUs out of the guest while a live range is replaced.</summary>
public interface IViewBarrier
{
    /// <summary>
    /// Returns when no vCPU executes guest code, and none will until the result is disposed. A vCPU thread inside a handler counts as
    /// outside: the caller may itself be one, and another may be waiting for the change lock that the caller holds.
    /// </summary>
    IDisposable StopVcpus();
}
