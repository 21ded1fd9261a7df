using System.Globalization;
using System.Runtime.InteropServices;
using Aperture.Hypervisor;
using Aperture.Linux;
using Aperture.Linux.Kvm;

namespace Aperture.Kvm;

/// <summary>Puts exits that end a vCPU's run into words (KVM API 5).</summary>
internal static class VcpuExitText
{
    // KVM_INTERNAL_ERROR_* and KVM_INTERNAL_ERROR_EMULATION_FLAG_INSTRUCTION_BYTES of linux/kvm.h.
    private const uint Emulation = 1;
    private const ulong HasInstructionBytes = 1;

    /// <summary>The stop that the exit in <paramref name="page"/> (struct kvm_run) is, or null for one after which the vCPU simply goes on.</summary>
    /// <param name="index">The vCPU's index.</param>
    /// <param name="page">struct kvm_run.</param>
    /// <param name="location">Where the vCPU is, as the end of a clause; null leaves it out.</param>
    public static VcpuStop? Describe(int index, ReadOnlySpan<byte> page, Func<string>? location)
    {
        KvmExitReason reason = (KvmExitReason)Word(page, KvmRunLayout.ExitReason);
        return reason switch
        {
            KvmExitReason.Interrupted or KvmExitReason.IrqWindowOpen or KvmExitReason.SetTpr or KvmExitReason.BusLock => null,
            KvmExitReason.Halt => new VcpuStop(VcpuStopKind.Halt, index, $"vCPU {index} executed HLT"),
            KvmExitReason.Shutdown => new VcpuStop(VcpuStopKind.Shutdown, index, $"vCPU {index} took a triple fault"),
            KvmExitReason.SystemEvent => SystemEvent(index, Word(page, KvmRunLayout.SystemEventType)),
            KvmExitReason.UndecodedAccess => new VcpuStop(VcpuStopKind.UndecodedAccess, index, UndecodedAccess(index, page, location)),
            KvmExitReason.FailEntry => new VcpuStop(
                VcpuStopKind.FailedEntry, index,
                Text($"the processor refused to enter vCPU {index}: hardware reason 0x{Long(page, KvmRunLayout.FailEntryReason):x}{At(location)}")),
            KvmExitReason.InternalError => new VcpuStop(VcpuStopKind.InternalError, index, InternalError(index, page, location)),
            _ => new VcpuStop(
                VcpuStopKind.UnknownExit,
                index,
                Text($"vCPU {index} left the guest for reason {(uint)reason} (hardware 0x{Long(page, KvmRunLayout.HardwareReason):x}), ")
                    + $"which is not known here{At(location)}"),
        };
    }

    /// <summary>KVM_RUN failed with <paramref name="errno"/>.</summary>
    public static VcpuStop HostError(int index, int errno)
    {
        // Whatever the exit reason: x86 fills KVM_EXIT_MEMORY_FAULT in for private memory only.
        string why = errno == Errno.EFAULT
            ? $"vCPU {index} touched guest memory that KVM cannot reach in this process"
            : $"KVM could not run vCPU {index}";
        return new VcpuStop(errno == Errno.EFAULT ? VcpuStopKind.MemoryFault : VcpuStopKind.HostError, index, new LinuxException(why, errno).Message);
    }

    /// <summary>KVM_RUN failed with EFAULT for <paramref name="milliseconds"/>, and the vCPU is still at the same instruction.</summary>
    public static VcpuStop Stuck(int index, long milliseconds, Func<string>? location) => new(
        VcpuStopKind.HostError, index,
        Text($"vCPU {index} has tried for {milliseconds} ms to get at guest memory that KVM cannot reach in this process{At(location)}"));

    // KVM_SYSTEM_EVENT_* of linux/kvm.h.
    private static VcpuStop SystemEvent(int index, uint type) => type switch
    {
        1 => new VcpuStop(VcpuStopKind.PowerOff, index, $"vCPU {index} asked the hypervisor for power off"),
        2 => new VcpuStop(VcpuStopKind.Reset, index, $"vCPU {index} asked the hypervisor for a reset"),
        3 => new VcpuStop(VcpuStopKind.SystemEvent, index, $"vCPU {index} told the hypervisor of a crash"),
        _ => new VcpuStop(VcpuStopKind.SystemEvent, index, $"vCPU {index} raised system event {type}"),
    };

    // WnR of a data abort's syndrome (Arm ARM D17.2.37, ESR_EL2): it is valid where the rest is not.
    private static string UndecodedAccess(int index, ReadOnlySpan<byte> page, Func<string>? location)
    {
        const ulong Write = 1 << 6;
        string doing = (Long(page, KvmRunLayout.UndecodedSyndrome) & Write) != 0 ? "wrote to" : "read from";
        return Text($"vCPU {index} {doing} 0x{Long(page, KvmRunLayout.UndecodedAddress):x}, where no memory is, by an instruction that the processor does not ")
            + $"decode for a hypervisor{At(location)}; devices take loads and stores of one general register without write-back only: change the guest's "
            + "driver, or leave out the device";
    }

    private static string InternalError(int index, ReadOnlySpan<byte> page, Func<string>? location)
    {
        uint suberror = Word(page, KvmRunLayout.InternalSuberror);
        uint count = Math.Min(Word(page, KvmRunLayout.InternalDataCount), 16);
        string at = At(location);
        if (suberror == Emulation)
        {
            string bytes = count >= 3 && (Long(page, KvmRunLayout.EmulationFlags) & HasInstructionBytes) != 0
                ? ": " + Bytes(page.Slice(KvmRunLayout.EmulationInstructionBytes, Math.Min(page[KvmRunLayout.EmulationInstructionSize], (byte)15)))
                : "";
            return $"KVM cannot emulate an instruction of vCPU {index}{at}{bytes}";
        }

        string what = suberror switch
        {
            2 => "two exceptions at once",
            3 => "an exit while an event was being delivered",
            4 => "an unexpected exit",
            _ => Text($"internal error {suberror}"),
        };
        ulong[] words = MemoryMarshal.Cast<byte, ulong>(page.Slice(KvmRunLayout.InternalData, (int)count * 8)).ToArray();
        string data = count == 0 ? "" : " (" + string.Join(' ', words.Select(word => Text($"{word:x}"))) + ")";
        return $"KVM gave up on vCPU {index}{at}: {what}{data}";
    }

    private static string At(Func<string>? location)
    {
        try
        {
            return location?.Invoke() ?? "";
        }
        catch (LinuxException)
        {
            return "";
        }
    }

    private static string Bytes(ReadOnlySpan<byte> bytes) =>
        bytes.IsEmpty ? "no bytes" : string.Join(' ', Convert.ToHexStringLower(bytes).Chunk(2).Select(pair => new string(pair)));

    private static uint Word(ReadOnlySpan<byte> page, int offset) => MemoryMarshal.Read<uint>(page[offset..]);

    private static ulong Long(ReadOnlySpan<byte> page, int offset) => MemoryMarshal.Read<ulong>(page[offset..]);

    private static string Text(FormattableString text) => text.ToString(CultureInfo.InvariantCulture);
}
