namespace Aperture.Hypervisor;

/// <summary>
/// The state in which the boot processor enters the guest, an architecture's own: <see cref="X86.BootState"/> or <see cref="Arm64.BootState"/>. What it points
/// at is in guest memory already. A hypervisor takes its architecture's only.
/// </summary>
public abstract record EntryState;
