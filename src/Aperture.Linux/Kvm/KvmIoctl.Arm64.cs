namespace Aperture.Linux.Kvm;

public static unsafe partial class KvmIoctl
{
    /// <summary>KVM_ARM_PREFERRED_TARGET (KVM API 4.83): the kind of vCPU that fits this host.</summary>
    public static uint GetPreferredTarget(SafeFileDescriptor vm)
    {
        KvmVcpuInit init = default;
        Checked(TryCall(vm, KvmRequest.PreferredTarget, ref init), "cannot ask KVM for the kind of processor it gives its guests");
        return init.Target;
    }

    /// <summary>
    /// KVM_ARM_VCPU_INIT (KVM API 4.82): gives the vCPU its features (bit n of <paramref name="features"/> is feature n) and puts it into the processor's reset
    /// state; repeated with the same values it resets again.
    /// </summary>
    public static void InitializeVcpu(SafeFileDescriptor vcpu, uint target, uint features)
    {
        KvmVcpuInit init = new() { Target = target, Features = features };
        Checked(TryCall(vcpu, KvmRequest.InitializeVcpu, ref init), "cannot put a vCPU into its reset state");
    }

    /// <summary>KVM_ARM_VCPU_FINALIZE (KVM API 4.119): a feature's shape is final; <paramref name="feature"/> by its number in KVM_ARM_VCPU_INIT.</summary>
    public static void FinalizeVcpu(SafeFileDescriptor vcpu, int feature) =>
        Checked(TryCall(vcpu, KvmRequest.FinalizeVcpu, ref feature), "cannot finish a vCPU's feature", feature);

    /// <summary>KVM_GET_ONE_REG (KVM API 4.69) of a register of 64 bits; false when the vCPU has none of that number.</summary>
    public static bool TryGetRegister(SafeFileDescriptor vcpu, ulong register, out ulong value)
    {
        // SAFETY: the address is that of a local, which has the 64 bits that the register's number says and lives until the call returns.
        ulong read = 0;
        KvmOneRegister one = new() { Id = register, Address = (ulong)&read };
        int result = TryCall(vcpu, KvmRequest.GetOneRegister, ref one);
        value = read;
        return result == 0;
    }

    /// <summary>KVM_SET_ONE_REG (KVM API 4.68) of a register of 64 bits.</summary>
    public static void SetRegister(SafeFileDescriptor vcpu, ulong register, ulong value)
    {
        // SAFETY: as above; the value is this call's own.
        KvmOneRegister one = new() { Id = register, Address = (ulong)&value };
        CheckedAt(TryCall(vcpu, KvmRequest.SetOneRegister, ref one), "cannot set a vCPU's register", register);
    }

    /// <summary>KVM_ENABLE_CAP (KVM API 4.37) on a VM, without arguments. 0 or minus the errno.</summary>
    public static int TryEnable(SafeFileDescriptor vm, KvmCapability capability)
    {
        KvmEnableCapability enable = new() { Capability = (uint)capability };
        return TryCall(vm, KvmRequest.EnableCapability, ref enable);
    }

    /// <summary>KVM_CREATE_DEVICE (KVM API 4.79) with KVM_CREATE_DEVICE_TEST: true when the kernel can make one of <paramref name="type"/>.</summary>
    public static bool CanCreateDevice(SafeFileDescriptor vm, uint type)
    {
        const uint OnlyTest = 1;
        KvmCreateDevice create = new() { Type = type, Flags = OnlyTest };
        return TryCall(vm, KvmRequest.CreateDevice, ref create) == 0;
    }

    /// <summary>KVM_CREATE_DEVICE: an interrupt controller; <see cref="KvmArm64.VgicV3"/> or <see cref="KvmArm64.VgicIts"/>.</summary>
    public static SafeFileDescriptor CreateDevice(SafeFileDescriptor vm, uint type, string what)
    {
        KvmCreateDevice create = new() { Type = type };
        int result = TryCall(vm, KvmRequest.CreateDevice, ref create);
        return result >= 0 ? new SafeFileDescriptor(create.Descriptor) : throw new LinuxException($"cannot make {what} in the kernel", -result);
    }

    /// <summary>KVM_SET_DEVICE_ATTR (KVM API 4.80) with a value of 64 bits, which the kernel reads as wide as the attribute is.</summary>
    /// <param name="device">From <see cref="CreateDevice"/>, or a vCPU.</param>
    /// <param name="group">The attribute's group.</param>
    /// <param name="attribute">Its number in the group.</param>
    /// <param name="value">The value.</param>
    /// <param name="doing">What is being done, for the sentence should it fail: <c>cannot ...</c>.</param>
    public static void SetDeviceAttribute(SafeFileDescriptor device, uint group, ulong attribute, ulong value, string doing)
    {
        // SAFETY: the value is this call's own and at least as wide as any attribute; the machine is little-endian, so that a narrow one is its first bytes.
        KvmDeviceAttribute set = new() { Group = group, Attribute = attribute, Address = (ulong)&value };
        Checked(TryCall(device, KvmRequest.SetDeviceAttribute, ref set), doing);
    }

    /// <summary>KVM_HAS_DEVICE_ATTR (KVM API 4.80): true when the device has the attribute.</summary>
    public static bool HasDeviceAttribute(SafeFileDescriptor device, uint group, ulong attribute)
    {
        KvmDeviceAttribute asked = new() { Group = group, Attribute = attribute };
        return TryCall(device, KvmRequest.HasDeviceAttribute, ref asked) == 0;
    }
}
