using System.Runtime.InteropServices;

namespace Aperture.Linux.Userfault;

/// <summary>
/// The ioctl numbers of userfaultfd (linux/userfaultfd.h), as the _IO macros make them: direction 31:30, structure size 29:16, type 0xAA 15:8, number 7:0.
/// </summary>
internal enum UserfaultRequest : uint
{
    New = 0xAA00,
    Api = 0xC018AA3F,
    Register = 0xC020AA00,
    Wake = 0x8010AA02,
}

/// <summary>Other numbers of userfaultfd.</summary>
internal static class UserfaultNumber
{
    internal const ulong Api = 0xAA;
    internal const ulong EventRemap = 1 << 2;
    internal const ulong RegisterMissing = 1;

    // asm/unistd_64.h, asm-generic/unistd.h, asm-generic/fcntl.h
    internal const nint CallX64 = 323;
    internal const nint CallArm64 = 282;
    internal const int CloseOnExec = 0x80000;
    internal const int NonBlock = 0x800;
}

/// <summary>What a message of a userfaultfd is about (UFFD_EVENT_*).</summary>
public enum UserfaultEvent : byte
{
    /// <summary>A page was touched that is not there.</summary>
    PageFault = 0x12,

    /// <summary>A registered range was moved (mremap(2)): whoever moved it waits until this was read.</summary>
    Remap = 0x14,
}

/// <summary>struct uffd_msg: for a page fault the address; its flags and thread mean nothing when a hypervisor touches for a guest.</summary>
[StructLayout(LayoutKind.Explicit, Size = 32)]
public readonly struct UserfaultMessage
{
    [FieldOffset(0)]
    internal readonly UserfaultEvent What;

    [FieldOffset(16)]
    internal readonly ulong FaultAddress;

    /// <summary>What happened.</summary>
    public UserfaultEvent Event => What;

    /// <summary>Of a page fault: an address in the page.</summary>
    public HostAddress Address => new(FaultAddress);
}

/// <summary>struct uffdio_api.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct UserfaultApi
{
    internal ulong Api;
    internal ulong Features;
    internal ulong Ioctls;
}

/// <summary>struct uffdio_range.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct UserfaultRange
{
    internal ulong Start;
    internal ulong Length;
}

/// <summary>struct uffdio_register.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct UserfaultRegister
{
    internal UserfaultRange Range;
    internal ulong Mode;
    internal ulong Ioctls;
}
