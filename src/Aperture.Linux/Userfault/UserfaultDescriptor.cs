using System.Runtime.InteropServices;

namespace Aperture.Linux.Userfault;

/// <summary>
/// A userfaultfd (userfaultfd(2)) for faults of the kernel too, such as those of KVM for a guest: who touches a missing page of a registered range waits until
/// something is there and the range is woken. It belongs to the process that made it. Thread-safe but for disposal; nothing throws.
/// </summary>
public sealed partial class UserfaultDescriptor : IDisposable
{
    /// <summary>Where the permission to have one is a file's (since Linux 6.1).</summary>
    public const string DevicePath = "/dev/userfaultfd";

    private UserfaultDescriptor(SafeFileDescriptor file) => File = file;

    /// <summary>The descriptor, to wait for.</summary>
    public SafeFileDescriptor File { get; }

    /// <summary>
    /// Opens one by whichever way this process may: with CAP_SYS_PTRACE or where vm.unprivileged_userfaultfd is 1, by the system call, otherwise through
    /// <see cref="DevicePath"/>. 0, or the errno of the last way.
    /// </summary>
    public static int TryOpen(out UserfaultDescriptor? opened)
    {
        const int Flags = UserfaultNumber.CloseOnExec | UserfaultNumber.NonBlock;
        opened = null;
        nint number = RuntimeInformation.ProcessArchitecture == Architecture.Arm64 ? UserfaultNumber.CallArm64 : UserfaultNumber.CallX64;
        int descriptor = (int)Call(number, Flags);
        int errno = descriptor < 0 ? Marshal.GetLastPInvokeError() : 0;
        if (errno != 0)
        {
            using SafeFileDescriptor device = FileDescriptors.TryOpen(DevicePath, OpenFlags.ReadWrite, out int missing);
            if (missing != 0)
            {
                return missing == Errno.ENOENT ? errno : missing;
            }

            descriptor = Ioctl.Call(device, (uint)UserfaultRequest.New, Flags);
            if (descriptor < 0)
            {
                return -descriptor;
            }
        }

        SafeFileDescriptor file = new(descriptor);
        UserfaultApi api = new() { Api = UserfaultNumber.Api, Features = UserfaultNumber.EventRemap };
        errno = -Ioctl.Call(file, (uint)UserfaultRequest.Api, ref api);
        if (errno != 0)
        {
            file.Dispose();
            return errno;
        }

        opened = new UserfaultDescriptor(file);
        return 0;
    }

    /// <summary>UFFDIO_REGISTER: touches of what is missing in private memory of this process are told of from now on. 0, or an errno.</summary>
    public int Register(HostAddress address, ulong length)
    {
        UserfaultRegister register = new()
        {
            Range = new UserfaultRange { Start = address.Value, Length = length },
            Mode = UserfaultNumber.RegisterMissing,
        };
        return -Ioctl.Call(File, (uint)UserfaultRequest.Register, ref register);
    }

    /// <summary>UFFDIO_WAKE: whoever waits for a page of the range tries again. 0, or an errno.</summary>
    public int Wake(HostAddress address, ulong length)
    {
        UserfaultRange range = new() { Start = address.Value, Length = length };
        return -Ioctl.Call(File, (uint)UserfaultRequest.Wake, ref range);
    }

    /// <summary>Takes messages that are there; how many. Who moved a registered range goes on once that was read.</summary>
    public int Take(Span<UserfaultMessage> messages)
    {
        Span<byte> bytes = MemoryMarshal.AsBytes(messages);
        int count = FileDescriptors.TryRead(File, bytes);
        return Math.Max(count, 0) / (bytes.Length / messages.Length);
    }

    /// <summary>Closes it: from then on a missing page of its ranges is a page of zeros.</summary>
    public void Dispose() => File.Dispose();

    [LibraryImport("libc", EntryPoint = "syscall", SetLastError = true)]
    private static partial nint Call(nint number, nint argument);
}
