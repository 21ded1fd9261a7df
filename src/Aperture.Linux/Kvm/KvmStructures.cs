using System.Runtime.InteropServices;

namespace Aperture.Linux.Kvm;

// Field for field the structures of linux/kvm.h and asm/kvm.h (x86); the tests compare every size and offset with the kernel's headers.

/// <summary>struct kvm_userspace_memory_region: one memory slot. A size of 0 deletes it.</summary>
[StructLayout(LayoutKind.Sequential)]
public record struct KvmMemoryRegion
{
    /// <summary>Slot number in 15:0; the address space in 31:16.</summary>
    public uint Slot;

    /// <summary>Bit 0 logs dirty pages, bit 1 makes the slot read-only.</summary>
    public uint Flags;

    /// <summary>First guest physical address, page aligned.</summary>
    public ulong GuestPhysicalAddress;

    /// <summary>Bytes, whole pages.</summary>
    public ulong MemorySize;

    /// <summary>First address in this process, page aligned.</summary>
    public ulong UserspaceAddress;
}

/// <summary>struct kvm_irq_level.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct KvmIrqLevel
{
    public uint Irq;
    public uint Level;
}

/// <summary>struct kvm_coalesced_mmio_zone.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct KvmCoalescedZone
{
    public ulong Address;
    public uint Size;

    /// <summary>1 for ports.</summary>
    public uint IsPort;
}

/// <summary>struct kvm_msi.</summary>
[StructLayout(LayoutKind.Explicit, Size = 32)]
internal struct KvmMsi
{
    [FieldOffset(0)]
    public uint AddressLow;
    [FieldOffset(4)]
    public uint AddressHigh;
    [FieldOffset(8)]
    public uint Data;
    [FieldOffset(12)]
    public uint Flags;
    [FieldOffset(16)]
    public uint DeviceId;
}

/// <summary>struct kvm_irqfd.</summary>
[StructLayout(LayoutKind.Explicit, Size = 32)]
internal struct KvmIrqfd
{
    [FieldOffset(0)]
    public int Descriptor;
    [FieldOffset(4)]
    public uint Gsi;
    [FieldOffset(8)]
    public uint Flags;
    [FieldOffset(12)]
    public int ResampleDescriptor;
}

/// <summary>struct kvm_ioeventfd.</summary>
[StructLayout(LayoutKind.Explicit, Size = 64)]
internal struct KvmIoEventFd
{
    [FieldOffset(0)]
    public ulong DataMatch;
    [FieldOffset(8)]
    public ulong Address;
    [FieldOffset(16)]
    public uint Length;
    [FieldOffset(20)]
    public int Descriptor;
    [FieldOffset(24)]
    public uint Flags;
}

/// <summary>struct kvm_irq_routing_entry: where one GSI goes. An entry is either a pin of an interrupt controller or a message.</summary>
[StructLayout(LayoutKind.Explicit, Size = 48)]
public record struct KvmIrqRoutingEntry
{
    /// <summary>The interrupt's number.</summary>
    [FieldOffset(0)]
    public uint Gsi;

    /// <summary>1: a pin; 2: a message.</summary>
    [FieldOffset(4)]
    public uint Type;

    /// <summary>1: a message's <see cref="MsiDeviceId"/> counts; 0 on x86.</summary>
    [FieldOffset(8)]
    public uint Flags;

    /// <summary>Pin: the controller (0 and 1: PICs, 2: I/O APIC).</summary>
    [FieldOffset(16)]
    public uint Irqchip;

    /// <summary>Pin: its number on the controller.</summary>
    [FieldOffset(20)]
    public uint Pin;

    /// <summary>Message: address 31:0.</summary>
    [FieldOffset(16)]
    public uint MsiAddressLow;

    /// <summary>Message: address 63:32.</summary>
    [FieldOffset(20)]
    public uint MsiAddressHigh;

    /// <summary>Message: data.</summary>
    [FieldOffset(24)]
    public uint MsiData;

    /// <summary>Message: requester id, used where the flags say so; 0 on x86.</summary>
    [FieldOffset(28)]
    public uint MsiDeviceId;
}

/// <summary>struct kvm_pit_config.</summary>
[StructLayout(LayoutKind.Explicit, Size = 64)]
internal struct KvmPitConfig
{
    [FieldOffset(0)]
    public uint Flags;
}

/// <summary>struct kvm_cpuid_entry2: one answer of the CPUID instruction.</summary>
[StructLayout(LayoutKind.Explicit, Size = 40)]
public record struct KvmCpuidEntry
{
    /// <summary>The leaf (EAX in).</summary>
    [FieldOffset(0)]
    public uint Function;

    /// <summary>The subleaf (ECX in), where <see cref="Flags"/> bit 0 says that it counts.</summary>
    [FieldOffset(4)]
    public uint Index;

    /// <summary>Bit 0: the subleaf is significant.</summary>
    [FieldOffset(8)]
    public uint Flags;

    /// <summary>EAX out.</summary>
    [FieldOffset(12)]
    public uint Eax;

    /// <summary>EBX out.</summary>
    [FieldOffset(16)]
    public uint Ebx;

    /// <summary>ECX out.</summary>
    [FieldOffset(20)]
    public uint Ecx;

    /// <summary>EDX out.</summary>
    [FieldOffset(24)]
    public uint Edx;
}

/// <summary>struct kvm_msr_entry: one model-specific register.</summary>
[StructLayout(LayoutKind.Explicit, Size = 16)]
public record struct KvmMsrEntry
{
    /// <summary>The register's number (ECX of RDMSR).</summary>
    [FieldOffset(0)]
    public uint Index;

    /// <summary>Its value.</summary>
    [FieldOffset(8)]
    public ulong Data;
}

/// <summary>struct kvm_create_device.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct KvmCreateDevice
{
    public uint Type;
    public int Descriptor;
    public uint Flags;
}

/// <summary>struct kvm_device_attr.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct KvmDeviceAttribute
{
    public uint Flags;
    public uint Group;
    public ulong Attribute;
    public ulong Address;
}
