namespace Aperture.Machine;

/// <summary>How a virtual machine's run ended.</summary>
/// <param name="ExitCode">The process's exit code: 0 after power-off, the guest's own after debug-exit, 3 when the host or the guest failed.</param>
/// <param name="Reason">One sentence.</param>
/// <param name="Failed">True when the host or the guest failed: a guest may well choose exit code 3 itself.</param>
public sealed record MachineOutcome(int ExitCode, string Reason, bool Failed = false);
