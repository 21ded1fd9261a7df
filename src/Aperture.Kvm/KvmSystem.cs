using Aperture.Linux;
using Aperture.Linux.Kvm;

namespace Aperture.Kvm;

/// <summary>This host's KVM: the opened device, checked. Thread-safe.</summary>
public sealed class KvmSystem : IDisposable
{
    // KVM_API_VERSION of linux/kvm.h, fixed since Linux 2.6.22.
    private const int ApiVersion = 12;

    private static readonly (KvmCapability Capability, string What)[] Needed =
    [
        (KvmCapability.UserMemory, "memory slots (KVM_CAP_USER_MEMORY)"),
        (KvmCapability.DeleteMemorySlot, "deletable memory slots (KVM_CAP_DESTROY_MEMORY_REGION_WORKS)"),
        (KvmCapability.ImmediateExit, "stopping a vCPU without a race (KVM_CAP_IMMEDIATE_EXIT)"),
    ];

    private KvmSystem(SafeFileDescriptor device, string path)
    {
        Device = device;
        Path = path;
        VcpuMapSize = KvmIoctl.GetVcpuMmapSize(device);
    }

    /// <summary>The device file that was opened.</summary>
    public string Path { get; }

    /// <summary>True when vCPUs have system management mode, with memory slots of its own.</summary>
    public bool HasManagementMode => Check(KvmCapability.ManagementMode) != 0 && Check(KvmCapability.AddressSpaces) > 1;

    internal SafeFileDescriptor Device { get; }

    internal int VcpuMapSize { get; }

    /// <summary>Opens KVM and checks that it is one, of the version and with the parts that every VM here needs.</summary>
    /// <exception cref="ApertureException">One sentence and what to do; exit code <see cref="ApertureException.HostFailure"/>.</exception>
    public static KvmSystem Open(string path = "/dev/kvm")
    {
        SafeFileDescriptor device = FileDescriptors.TryOpen(path, OpenFlags.ReadWrite, out int errno);
        if (errno != 0)
        {
            device.Dispose();
            throw Failure(OpenSentence(path, errno));
        }

        try
        {
            int version = KvmIoctl.TryGetApiVersion(device);
            if (version < 0)
            {
                throw Failure($"{path} is not KVM: it does not answer KVM_GET_API_VERSION; give the path of the KVM device, which is /dev/kvm.");
            }

            if (version != ApiVersion)
            {
                throw Failure($"{path} speaks KVM API version {version}, and only version {ApiVersion} is known; use a kernel of the last ten years.");
            }

            foreach ((KvmCapability capability, string what) in (IEnumerable<(KvmCapability, string)>)[.. Needed, .. HostArchitecture.Current.Needed])
            {
                if (KvmIoctl.CheckExtension(device, capability) == 0)
                {
                    throw Failure($"this kernel's KVM lacks {what}; use a kernel of version 4.12 or later.");
                }
            }

            return new KvmSystem(device, path);
        }
        catch
        {
            device.Dispose();
            throw;
        }
    }

    /// <summary>Decides whether this host's KVM runs 64-bit guests, by running one for a short time. Never throws.</summary>
    public static KvmAbility Probe64Bit(string path = "/dev/kvm") => HostArchitecture.Current.Probe(path);

    /// <summary>KVM_CHECK_EXTENSION: 0 where the kernel has it not, else 1 or the number that goes with it.</summary>
    public int Check(KvmCapability capability) => KvmIoctl.CheckExtension(Device, capability);

    /// <summary>Makes an empty VM.</summary>
    /// <exception cref="ApertureException">KVM refused, or lacks what <paramref name="options"/> ask for.</exception>
    public KvmVm CreateVm(KvmVmOptions options)
    {
        ArgumentNullException.ThrowIfNull(options);
        return new KvmVm(this, options);
    }

    /// <inheritdoc/>
    public void Dispose() => Device.Dispose();

    internal static ApertureException Failure(string sentence) => new(sentence, ApertureException.HostFailure);

    private static string OpenSentence(string path, int errno) => errno switch
    {
        Errno.ENOENT => $"{path} does not exist; {HostArchitecture.Current.WhenAbsent}",
        Errno.EACCES or Errno.EPERM => $"{path} may not be opened by this user; add the user to the group kvm, or run as root.",
        Errno.EBUSY => $"{path} is busy: another hypervisor holds the processor's virtualisation; stop it and try again.",
        Errno.ENODEV or Errno.ENXIO => $"{path} has no driver behind it; {HostArchitecture.Current.WhenWithoutDriver}",
        _ => new LinuxException($"{path} cannot be opened", errno).Message + "; check that it is the KVM device and that this user may use it.",
    };
}
