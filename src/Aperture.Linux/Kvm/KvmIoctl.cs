using System.Runtime.InteropServices;

namespace Aperture.Linux.Kvm;

/// <summary>
/// The calls of KVM, each wrapped once: on the device (here), on a VM (KvmIoctl.Vm.cs) and on a vCPU (KvmIoctl.Vcpu.cs).
/// A failure is a <see cref="LinuxException"/>, but for the calls named Try... and <see cref="Run"/>, which answer with the errno.
/// </summary>
public static unsafe partial class KvmIoctl
{
    // More entries than any kernel has: today's list under 100 CPUID entries and under 400 registers.
    private const int MaximumEntries = 4096;

    /// <summary>KVM_GET_API_VERSION (KVM API 4.1); 12 since 2007, or minus the errno where <paramref name="device"/> is no KVM.</summary>
    public static int TryGetApiVersion(SafeFileDescriptor device) => TryCall(device, KvmRequest.GetApiVersion, 0);

    /// <summary>KVM_CREATE_VM (KVM API 4.2).</summary>
    /// <param name="device">The opened KVM.</param>
    /// <param name="type">The machine type: 0 on x86, the bits of guest addresses on arm64 (0 for 40).</param>
    public static SafeFileDescriptor CreateVm(SafeFileDescriptor device, ulong type = 0)
    {
        while (true)
        {
            int result = TryCall(device, KvmRequest.CreateVm, (nuint)type);
            if (result != -Errno.EINTR)
            {
                return new SafeFileDescriptor(Checked(result, "cannot create a virtual machine"));
            }
        }
    }

    /// <summary>KVM_CHECK_EXTENSION on the device or on a VM (KVM API 4.4): 0 where the kernel has it not, else 1 or the number that goes with it.</summary>
    public static int CheckExtension(SafeFileDescriptor deviceOrVm, KvmCapability capability) =>
        Math.Max(0, TryCall(deviceOrVm, KvmRequest.CheckExtension, (nuint)capability));

    /// <summary>KVM_GET_VCPU_MMAP_SIZE (KVM API 4.5), bytes.</summary>
    public static int GetVcpuMmapSize(SafeFileDescriptor device) =>
        Checked(TryCall(device, KvmRequest.GetVcpuMmapSize, 0), "cannot read the size of a vCPU's shared page");

    /// <summary>KVM_GET_SUPPORTED_CPUID (KVM API 4.46): what this KVM can give to a guest.</summary>
    public static KvmCpuidEntry[] GetSupportedCpuid(SafeFileDescriptor device)
    {
        for (int room = 256; ; room *= 2)
        {
            byte[] buffer = new byte[8 + (room * sizeof(KvmCpuidEntry))];
            MemoryMarshal.Write(buffer, (uint)room);
            int result = TryCall(device, KvmRequest.GetSupportedCpuid, buffer);
            if (result >= 0)
            {
                int count = (int)MemoryMarshal.Read<uint>(buffer);
                return MemoryMarshal.Cast<byte, KvmCpuidEntry>(buffer.AsSpan(8))[..count].ToArray();
            }

            if (result != -Errno.E2BIG || room > MaximumEntries)
            {
                throw new LinuxException("cannot read the CPUID entries that KVM supports", -result);
            }
        }
    }

    /// <summary>KVM_GET_MSR_INDEX_LIST (KVM API 4.3): the registers that make up a guest's state.</summary>
    public static uint[] GetMsrIndexList(SafeFileDescriptor device)
    {
        byte[] buffer = new byte[4 + (MaximumEntries * sizeof(uint))];
        MemoryMarshal.Write(buffer, (uint)MaximumEntries);
        Checked(TryCall(device, KvmRequest.GetMsrIndexList, buffer), "cannot read KVM's list of model-specific registers");
        int count = (int)MemoryMarshal.Read<uint>(buffer);
        return MemoryMarshal.Cast<byte, uint>(buffer.AsSpan(4))[..count].ToArray();
    }

    private static int Checked(int result, string sentence) => result >= 0 ? result : throw new LinuxException(sentence, -result);

    // The sentence is put together only when it is needed: start-up makes these calls by the hundred.
    private static int Checked(int result, string sentence, long number) =>
        result >= 0 ? result : throw new LinuxException($"{sentence} {number}", -result);

    private static int CheckedAt(int result, string sentence, ulong address) =>
        result >= 0 ? result : throw new LinuxException($"{sentence} 0x{address:x}", -result);

    // Answers with the call's result, or minus its errno.
    private static int TryCall(SafeFileDescriptor file, KvmRequest request, nuint argument)
    {
        int result = IoctlNumber(file, (nuint)request, argument);
        return result >= 0 ? result : -Marshal.GetLastPInvokeError();
    }

    private static int TryCall<T>(SafeFileDescriptor file, KvmRequest request, ref T argument)
        where T : unmanaged
    {
        // SAFETY: pinned for the call; the request number carries the structure's size, which the ABI probe compares with T's.
        fixed (T* pointer = &argument)
        {
            int result = IoctlPointer(file, (nuint)request, pointer);
            return result >= 0 ? result : -Marshal.GetLastPInvokeError();
        }
    }

    private static int TryCall(SafeFileDescriptor file, KvmRequest request, Span<byte> argument)
    {
        // SAFETY: pinned for the call; callers pass a buffer of the structure's size, or of its header plus the entries that the header counts.
        fixed (byte* pointer = argument)
        {
            int result = IoctlPointer(file, (nuint)request, pointer);
            return result >= 0 ? result : -Marshal.GetLastPInvokeError();
        }
    }

    [LibraryImport("libc", EntryPoint = "ioctl", SetLastError = true)]
    private static partial int IoctlNumber(SafeFileDescriptor file, nuint request, nuint argument);

    [LibraryImport("libc", EntryPoint = "ioctl", SetLastError = true)]
    private static partial int IoctlPointer(SafeFileDescriptor file, nuint request, void* argument);

    // The path of every exit: nothing but the call, so that the compiler makes the transition in place.
    [LibraryImport("libc", EntryPoint = "ioctl")]
    private static partial int IoctlRaw(int file, nuint request, nuint argument);
}
