namespace Aperture;

/// <summary>A level-triggered interrupt input, as a device sees it. Thread-safe; setting the level it already has does nothing.</summary>
public interface IInterruptLine
{
    /// <summary>Asserts (<see langword="true"/>) or deasserts the line.</summary>
    void Set(bool asserted);
}

/// <summary>A message signalled interrupt: one 32-bit write that the interrupt controller takes (PCI Local Bus 3.0, section 6.8).</summary>
/// <param name="Address">Where the write goes; 0xFEExxxxx on x86.</param>
/// <param name="Data">The value written.</param>
public readonly record struct MsiMessage(GuestAddress Address, uint Data);

/// <summary>Takes message signalled interrupts from devices. Thread-safe, does not allocate.</summary>
public interface IMsiSink
{
    /// <summary>
    /// Delivers <paramref name="message"/> on behalf of <paramref name="requester"/>. A message that no controller takes is dropped and counted.
    /// </summary>
    void Send(Bdf requester, MsiMessage message);
}

/// <summary>
/// A device's own way to guest memory (bus mastering). RAM is read and written directly; what is not RAM is dispatched like a CPU access;
/// the device's own BARs are refused. Nothing throws: false means that at least one byte was not carried out.
/// </summary>
public interface IDma
{
    /// <summary>Reads guest memory at <paramref name="address"/> into <paramref name="destination"/>.</summary>
    bool Read(GuestAddress address, Span<byte> destination);

    /// <summary>Writes <paramref name="source"/> to guest memory at <paramref name="address"/>.</summary>
    bool Write(GuestAddress address, ReadOnlySpan<byte> source);
}

/// <summary>Why a virtual machine left the running state.</summary>
public enum MachineRequest : byte
{
    /// <summary>The guest asked for a reset (0xCF9, i8042, ACPI reset register, triple fault).</summary>
    Reset,

    /// <summary>The guest asked for power off (ACPI S5).</summary>
    PowerOff,

    /// <summary>A debug-exit device was written; the request carries the exit code.</summary>
    Exit,
}

/// <summary>What a platform device may ask of the machine it sits in. Thread-safe; returns at once, the machine acts outside the handler.</summary>
public interface IMachineControl
{
    /// <summary>
    /// Asks for <paramref name="request"/>; the first request wins. <paramref name="exitCode"/> is the process exit code of <see cref="MachineRequest.Exit"/>.
    /// </summary>
    void Request(MachineRequest request, int exitCode, string reason);
}
