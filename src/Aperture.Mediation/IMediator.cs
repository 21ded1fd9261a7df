namespace Aperture.Mediation;

/// <summary>
/// Shares one resource between guests: it owns the resource, describes the PCI function that each guest sees, and keeps the books of what belongs to whom. A
/// <see cref="MediationHost"/> serves it. Sessions of different guests run on different threads at once, so a mediator guards what they share; it may call
/// any <see cref="IGuest"/> while it holds a lock of its own, because the library holds none while it calls a mediator.
/// <para>
/// Disposed by its host, after the last session.
/// </para>
/// </summary>
public interface IMediator : IDisposable
{
    /// <summary>What messages call it: one word.</summary>
    string Name { get; }

    /// <summary>
    /// The function that the guest called <paramref name="guest"/> sees. Asked once a place for a guest (a socket), before anybody connects: guests come and go
    /// there, and find the same function.
    /// </summary>
    /// <exception cref="ApertureException">The mediator has no room for another guest, or cannot be set up.</exception>
    FunctionDescription Describe(string guest);

    /// <summary>
    /// A guest came. Its function is as after a reset, with nothing granted. What this throws ends the guest's connection with a sentence; so does what any
    /// method of the session throws, and neither the daemon nor another guest notices.
    /// </summary>
    IMediatorSession Open(IGuest guest);
}

/// <summary>
/// One guest at a mediator, from its coming to its end. Methods are called one at a time, on the thread of the guest's connection. Guests may write anything
/// anywhere: that is answered, and never thrown for.
/// <para>
/// <see cref="IDisposable.Dispose"/> is the guest's end. All its grants are revoked by then, whatever it did.
/// </para>
/// </summary>
public interface IMediatorSession : IDisposable
{
    /// <summary>
    /// Reads a register: <paramref name="size"/> bytes (1, 2, 4 or 8) of a BAR at <paramref name="offset"/>, a multiple of the size, as a little-endian number.
    /// Asked for trapped parts, and for accesses that <see cref="Fault"/> answered with <see cref="FaultAnswer.Trap"/>.
    /// </summary>
    ulong Read(int bar, ulong offset, int size);

    /// <summary>Writes a register; the same as <see cref="Read"/> otherwise. Bits of <paramref name="value"/> above the size are 0.</summary>
    void Write(int bar, ulong offset, int size, ulong value);

    /// <summary>
    /// The guest touched a page of a mediated part that it was not granted, or wrote to one that was granted for reading only. The answer must not wait for the
    /// guest; it may revoke pages of any guest first. Pages are revoked while the answer is on its way: then it is dropped, and the fault comes again.
    /// </summary>
    FaultAnswer Fault(in Fault fault) => FaultAnswer.Refuse;

    /// <summary>
    /// The guest allowed or forbade the function to reach its memory and to send interrupts (bus master enable: PCI Local Bus 3.0, section 6.2.2). While it is
    /// forbidden, <see cref="IGuest.Memory"/> and <see cref="IGuest.RaiseMsix"/> refuse by themselves.
    /// </summary>
    void BusMasterChanged(bool enabled)
    {
    }

    /// <summary>
    /// The guest's monitor gave a run of its memory, by the guest's addresses; whole pages, disjoint from what it gave before. <paramref name="host"/> is where
    /// it is in this process until <see cref="MemoryRemoved"/> returned: for the DMA mappings of a device of the mediator's and never to be touched, since the
    /// monitor may cut the file behind it. Null for memory that came without a descriptor. Accesses of the mediator itself go by <see cref="IGuest.Memory"/>.
    /// </summary>
    void MemoryAdded(AddressRange range, HostAddress? host, bool writable)
    {
    }

    /// <summary>
    /// The monitor takes a run back, exactly as it gave it; at the guest's end all of them, before <see cref="IDisposable.Dispose"/>. When this returns no
    /// device reaches it any more: the monitor is told so, and may use the memory otherwise. What this throws is reported.
    /// </summary>
    void MemoryRemoved(AddressRange range)
    {
    }

    /// <summary>The guest reset the function. Its registers are reset and all grants are revoked already.</summary>
    void Reset()
    {
    }
}

/// <summary>What a mediator may ask of a guest. Thread-safe. After the guest's end nothing here has an effect, and every answer is no.</summary>
public interface IGuest
{
    /// <summary>What messages call it: the path of its socket.</summary>
    string Name { get; }

    /// <summary>
    /// The guest's memory by the guest's own addresses. False for every access that is not wholly inside what the guest gave for that purpose, and for all
    /// while bus master is off. Memory that the guest's monitor gave without a descriptor may take long, and on the session's own thread may be refused.
    /// </summary>
    IDma Memory { get; }

    /// <summary>True while the guest takes MSI-X messages of this function.</summary>
    bool IsMsixEnabled { get; }

    /// <summary>Sends the MSI-X message of a vector; false when the guest has not enabled it.</summary>
    bool RaiseMsix(int vector);

    /// <summary>Sets the level of the function's INTx.</summary>
    void SetIntx(bool asserted);

    /// <summary>
    /// Takes back what was granted of a range of a BAR, in bytes and whole pages; a part of a grant, several, or nothing. When it returns, no access of the
    /// guest reaches the memory behind it any more, and the next touch faults again.
    /// </summary>
    /// <exception cref="ArgumentOutOfRangeException">Not whole pages inside the BAR.</exception>
    void Revoke(int bar, ulong offset, ulong size);

    /// <summary>What the guest has been granted at this moment, by BAR and offset.</summary>
    IReadOnlyList<Grant> Grants { get; }
}
