namespace Aperture.Hypervisor.Arm64;

/// <summary>
/// How the boot processor enters the guest: at EL1 with the MMU off and every interrupt masked (Linux Documentation/arch/arm64/booting.rst). Registers that are
/// not named here are in the processor's reset state, the general ones 0.
/// </summary>
/// <param name="ProgramCounter">The first instruction, a multiple of 4.</param>
/// <param name="DeviceTree">X0: where the device tree is; 0 where what starts finds it by itself, as firmware does.</param>
public sealed record BootState(GuestAddress ProgramCounter, GuestAddress DeviceTree) : EntryState
{
    /// <summary>PSTATE of <see cref="ProcessorState"/> by default: EL1 with its own stack pointer; D, A, I and F masked (Arm ARM C5.2.18, SPSR_EL1).</summary>
    public const ulong MaskedEl1 = 0x3C5;

    /// <summary>PSTATE.</summary>
    public ulong ProcessorState { get; init; } = MaskedEl1;
}
