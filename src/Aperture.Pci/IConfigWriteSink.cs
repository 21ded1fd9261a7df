namespace Aperture.Pci;

/// <summary>The one seam through which configuration writes reach the machine.</summary>
public interface IConfigWriteSink
{
    /// <summary>
    /// Called after every guest write that reached a function, with the hierarchy's lock held, before the writing vCPU continues:
    /// what is applied here is in force when the guest's next instruction runs. Must not throw.
    /// </summary>
    /// <param name="function">The function written.</param>
    /// <param name="change">What the write changed, possibly nothing.</param>
    /// <param name="offset">Register offset in bytes.</param>
    /// <param name="size">1, 2 or 4 bytes.</param>
    /// <param name="value">What the guest wrote, not what the register took.</param>
    void Written(PciFunction function, ConfigChange change, int offset, int size, uint value);

    /// <summary>
    /// Called when what <paramref name="function"/> decodes may have changed without a write: its hardware is ready again. With the hierarchy's lock held. Must
    /// not throw.
    /// </summary>
    void Changed(PciFunction function)
    {
    }
}
