namespace Aperture.Pci.Capabilities;

/// <summary>The vectors of an MSI or MSI-X capability, for a device whose interrupts are delivered outside this process. Thread-safe.</summary>
public interface IMessageVectors
{
    /// <summary>How many vectors the function has.</summary>
    int Vectors { get; }

    /// <summary>True while the guest has the capability on.</summary>
    bool IsEnabled { get; }

    /// <summary>Who is told of changes; null for nobody.</summary>
    IVectorListener? Listener { get; set; }

    /// <summary>True when <paramref name="vector"/> may be sent now: enabled, not masked, and the function may issue requests. Then with its message.</summary>
    bool MaySend(int vector, out MsiMessage message);

    /// <summary>Raises a vector: it is sent, or stays pending until it may be sent. True when it was sent.</summary>
    bool Trigger(int vector);
}

/// <summary>Follows the vectors of a capability. Called on vCPU threads with none of the capability's locks held.</summary>
public interface IVectorListener
{
    /// <summary>Whether vectors may be sent, or their messages, may have changed: <paramref name="count"/> of them from <paramref name="first"/> on.</summary>
    void VectorsChanged(IMessageVectors source, int first, int count);

    /// <summary>
    /// The pending bits of these vectors are about to be read, or to be sent because more may be sent now: <see cref="IMessageVectors.Trigger"/> what was
    /// raised meanwhile.
    /// </summary>
    void CollectPending(IMessageVectors source, int first, int count);
}
