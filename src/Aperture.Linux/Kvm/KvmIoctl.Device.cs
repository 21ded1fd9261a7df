namespace Aperture.Linux.Kvm;

public static unsafe partial class KvmIoctl
{
    // KVM_DEV_TYPE_VFIO, KVM_DEV_VFIO_FILE and its attributes of linux/kvm.h; before Linux 6.6 they were called KVM_DEV_VFIO_GROUP, with the same numbers.
    internal const uint DeviceTypeVfio = 4;
    internal const uint VfioFile = 1;
    internal const ulong VfioFileAdd = 1;
    internal const ulong VfioFileRemove = 2;

    /// <summary>KVM_CREATE_DEVICE (KVM API 4.79) of the kind that is told which VFIO files belong to the VM.</summary>
    public static SafeFileDescriptor CreateVfioDevice(SafeFileDescriptor vm)
    {
        KvmCreateDevice create = new() { Type = DeviceTypeVfio };
        Checked(TryCall(vm, KvmRequest.CreateDevice, ref create), "cannot make KVM's VFIO device");
        return new SafeFileDescriptor(create.Descriptor);
    }

    /// <summary>KVM_SET_DEVICE_ATTR (KVM API 4.80), KVM_DEV_VFIO_FILE_ADD: the VM uses this VFIO group or device.</summary>
    public static void AddVfioFile(SafeFileDescriptor vfioDevice, SafeFileDescriptor file) =>
        Checked(SetVfioFile(vfioDevice, file, VfioFileAdd), "cannot tell KVM of a VFIO file");

    /// <summary>KVM_SET_DEVICE_ATTR, KVM_DEV_VFIO_FILE_DEL: takes back what <see cref="AddVfioFile"/> said.</summary>
    public static void RemoveVfioFile(SafeFileDescriptor vfioDevice, SafeFileDescriptor file) =>
        Checked(SetVfioFile(vfioDevice, file, VfioFileRemove), "cannot take a VFIO file from KVM");

    private static int SetVfioFile(SafeFileDescriptor vfioDevice, SafeFileDescriptor file, ulong attribute)
    {
        ArgumentNullException.ThrowIfNull(file);
        int number = file.Number;

        // SAFETY: the attribute's address is that of a local which lives until the call returns.
        KvmDeviceAttribute set = new() { Group = VfioFile, Attribute = attribute, Address = (ulong)&number };
        int result = TryCall(vfioDevice, KvmRequest.SetDeviceAttribute, ref set);
        GC.KeepAlive(file);
        return result;
    }
}
