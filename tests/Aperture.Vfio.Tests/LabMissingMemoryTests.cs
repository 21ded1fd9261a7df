using System.Runtime.InteropServices;
using Aperture.Assignment;
using Aperture.Linux;
using Aperture.Linux.Kvm;
using Aperture.Linux.Vfio;
using Aperture.Memory;

namespace Aperture.Vfio.Tests;

/// <summary>
/// What the real kernel does when a guest touches a device's memory past its end: the sample mbochs gives pages as they are touched, and raises SIGBUS for
/// those that it has not, in a mapping that was made longer than its memory. Explicit, because only the lab has it: LabMediatedTests in Aperture.Guest.Tests
/// runs it there.
/// </summary>
public sealed class LabMissingMemoryTests
{
    private const ulong Page = 4096;
    private const ulong Window = 0x8000;
    private const uint IoExit = 2;

    // MREMAP_MAYMOVE of linux/mman.h.
    private const int MayMove = 1;

    // mov ax, [0x8000]; out 0x10, ax; mov ax, [0x9000]; out 0x11, ax; in 16 bits. The second read is behind the end.
    private static readonly byte[] Program = [0xA1, 0x00, 0x80, 0xE7, 0x10, 0xA1, 0x00, 0x90, 0xE7, 0x11];

    [Fact(Explicit = true)]
    public void A_guest_that_reads_past_the_end_of_a_device_s_memory_stands_still_until_all_ones_are_there_and_then_reads_them()
    {
        string? folder = Environment.GetEnvironmentVariable("APERTURE_TEST_MBOCHS");
        Assert.SkipUnless(folder is not null, "needs a mediated device of the lab, whose folder APERTURE_TEST_MBOCHS names");
        VfioDeviceAddress address = VfioDeviceAddress.Sysfs(folder);
        using VfioHost host = VfioHost.Open(VfioPath.Container, [address]);
        using VfioDevice device = host.Open(address);
        ulong end = device.Regions[VfioRegionIndex.Bar0].Size;
        Assert.True(VfioIoctl.TryGetRegionInfo(device.File, VfioRegionIndex.Bar0, out VfioRegionReply reply) >= 0);
        Assert.Equal(0, MemoryMap.Reserve(end, out HostAddress room));
        Assert.Equal(0, MemoryMap.MapOver(room, device.File, reply.Offset, end, readable: true, writable: true));
        nint longer = Remap((nint)room.Value, (nuint)end, (nuint)(end + Page), MayMove);
        Assert.NotEqual(-1, longer);
        HostAddress mapped = new((ulong)longer);
        DeviceMappings mappings = new();
        mappings.Add(new DeviceMapping(mapped, end + Page, device.File, VfioRegionIndex.Bar0, 0) { Name = "mbochs", IsReadable = true });

        using RamBlock ram = RamBlock.Create("ram", Window);
        ram.Write(0x1000, Program);
        using SafeFileDescriptor kvm = FileDescriptors.Open("/dev/kvm", OpenFlags.ReadWrite);
        using SafeFileDescriptor vm = KvmIoctl.CreateVm(kvm);
        Assert.Equal(0, KvmIoctl.TrySetMemoryRegion(vm, Slot(0, 0, Window, ram.HostAddress)));
        Assert.Equal(0, KvmIoctl.TrySetMemoryRegion(vm, Slot(1, Window, 2 * Page, mapped + (end - Page))));
        using SafeFileDescriptor vcpu = KvmIoctl.CreateVcpu(vm, 0);
        Assert.Equal(0, MemoryMap.MapShared(vcpu, (ulong)KvmIoctl.GetVcpuMmapSize(kvm), out HostAddress run));
        StartAt(vcpu, 0x1000);

        Assert.Equal(0, Enter(vcpu));
        Assert.Equal((0x10, (ushort)0), Said(run));

        // However often: the instruction is not carried out, and no address is told.
        for (int attempt = 0; attempt < 3; attempt++)
        {
            Assert.Equal(-Errno.EFAULT, Enter(vcpu));
            Assert.Equal(0x1005UL, KvmIoctl.GetRegisters(vcpu).Rip);
        }

        Assert.Equal([new MissingMemory("mbochs", end, Page)], mappings.ReplaceMissing());
        Assert.Equal(0, Enter(vcpu));
        Assert.Equal((0x11, ushort.MaxValue), Said(run));
        Assert.Empty(mappings.ReplaceMissing());
        _ = MemoryMap.Unmap(mapped, end + Page);
    }

    [DllImport("libc", EntryPoint = "mremap")]
    private static extern nint Remap(nint address, nuint size, nuint newSize, int flags);

    private static int Enter(SafeFileDescriptor vcpu)
    {
        int result;
        do
        {
            result = KvmIoctl.Run(vcpu.Number);
        }
        while (result is -Errno.EINTR or -Errno.EAGAIN);

        return result;
    }

    private static (int Port, ushort Value) Said(HostAddress run)
    {
        nint page = (nint)run.Value;
        Assert.Equal(IoExit, (uint)Marshal.ReadInt32(page + KvmRunLayout.ExitReason));
        nint data = page + (nint)Marshal.ReadInt64(page + KvmRunLayout.IoDataOffset);
        return ((ushort)Marshal.ReadInt16(page + KvmRunLayout.IoPort), (ushort)Marshal.ReadInt16(data));
    }

    private static KvmMemoryRegion Slot(uint number, ulong guest, ulong size, HostAddress host) =>
        new() { Slot = number, GuestPhysicalAddress = guest, MemorySize = size, UserspaceAddress = host.Value };

    private static void StartAt(SafeFileDescriptor vcpu, ulong address)
    {
        KvmSpecialRegisters special = KvmIoctl.GetSpecialRegisters(vcpu);
        special.Cs.Base = 0;
        special.Cs.Selector = 0;
        KvmIoctl.SetSpecialRegisters(vcpu, special);
        KvmIoctl.SetRegisters(vcpu, new KvmRegisters { Rip = address, Rflags = 2 });
    }
}
