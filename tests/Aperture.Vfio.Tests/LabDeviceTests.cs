using System.Buffers.Binary;
using Aperture.Assignment;
using Aperture.Linux;
using Aperture.Linux.Kvm;
using Aperture.Memory;

namespace Aperture.Vfio.Tests;

/// <summary>
/// The real kernel with a real device: QEMU's edu (docs/lab.md), which has an identification register, a message signalled interrupt and a DMA engine over a
/// buffer of its own. Explicit, because only the lab has it: LabVfioTests in Aperture.Guest.Tests runs them there.
/// </summary>
public sealed class LabDeviceTests
{
    private const ulong Identification = 0x00;
    private const ulong RaiseInterrupt = 0x60;
    private const ulong DmaSource = 0x80;
    private const ulong DmaTarget = 0x88;
    private const ulong DmaCount = 0x90;
    private const ulong DmaCommand = 0x98;
    private const ulong DmaBuffer = 0x4_0000;
    private const ulong RamStart = 0x20_0000;
    private const ulong RamSize = 0x40_0000;

    [Theory(Explicit = true)]
    [InlineData(VfioPath.Container)]
    [InlineData(VfioPath.Iommufd)]
    public void A_device_reaches_the_guests_RAM_at_guest_addresses_until_it_is_unmapped(VfioPath path)
    {
        VfioDeviceAddress address = RequireDevice(path);
        (int Descriptors, int Maps) before = Held();
        for (int round = 0; round < 2; round++)
        {
            Exercise(path, address);
        }

        Assert.Equal(before, Held());
    }

    [Fact(Explicit = true)]
    public void Both_paths_say_that_a_device_is_in_use()
    {
        VfioDeviceAddress address = RequireDevice(VfioPath.Iommufd);
        using VfioHost container = VfioHost.Open(VfioPath.Container, [address]);
        using VfioHost iommufd = VfioHost.Open(VfioPath.Iommufd, [address]);
        foreach ((VfioHost first, VfioHost second) in new[] { (container, iommufd), (iommufd, container) })
        {
            using VfioDevice held = first.Open(address);
            ApertureException failure = Assert.Throws<ApertureException>(() => second.Open(address));
            Assert.StartsWith($"{held.Name} is in use by another process", failure.Message, StringComparison.Ordinal);
        }

        using VfioDevice free = container.Open(address);
    }

    private static void Exercise(VfioPath path, VfioDeviceAddress address)
    {
        using SafeFileDescriptor kvm = FileDescriptors.Open("/dev/kvm", OpenFlags.ReadWrite);
        using SafeFileDescriptor vm = KvmIoctl.CreateVm(kvm);
        using SafeFileDescriptor vfio = KvmIoctl.CreateVfioDevice(vm);
        using VfioHost host = VfioHost.Open(path, [address], file => KvmIoctl.AddVfioFile(vfio, file), file => KvmIoctl.RemoveVfioFile(vfio, file));
        using VfioDevice device = host.Open(address);
        Assert.Equal(0x0100_00EDU, Read(device, Identification) & 0xFF00_FFFF);
        Assert.Equal(1UL << 20, device.Regions[VfioRegionIndex.Bar0].Size);
        Assert.NotEmpty(host.Iommu.Ranges);

        // Decode and bus mastering.
        Assert.Equal(0, device.Write(VfioRegionIndex.Config, 4, [0x06, 0x00]));
        CheckInterrupt(device);
        using RamBlock bar = device.Map(VfioRegionIndex.Bar0, new VfioArea(0, 1UL << 20));
        Assert.Equal(0UL, bar.HostAddress.Value % (1UL << 20));
        using RamBlock ram = RamBlock.Create("ram", RamSize);
        using AddressSpace space = AddressSpace.ForMemory();
        IommuListener listener = new(host.Iommu);
        space.AddListener(listener);
        Region region = Region.ForRam("ram", ram, 0, RamSize, mustBeMapped: true);
        using (AddressChange change = space.Begin())
        {
            change.Place(region, new GuestAddress(RamStart), 0);
            change.Place(Region.ForDevice("bar", bar, 0, 1UL << 20, new Silent()), new GuestAddress(0xC000_0000), 0);
            change.Commit();
        }

        Assert.Null(listener.Verify());
        IommuResult peer = Assert.Single(listener.Results, result => result.IsPeerToPeer);
        TestContext.Current.SendDiagnosticMessage($"{path}: peer to peer {(peer.IsMapped ? "mapped" : peer.Reason)}");
        Assert.True(peer.IsMapped || path == VfioPath.Iommufd, peer.Reason);

        ram.Write(0x1230, 0x0123_4567_89AB_CDEFUL);
        Copy(device, RamStart + 0x1230, DmaBuffer, 8, toRam: false);
        Copy(device, DmaBuffer, RamStart + 0x3F_FFF0, 8, toRam: true);
        Assert.Equal(0x0123_4567_89AB_CDEFUL, ram.Read<ulong>(0x3F_FFF0));

        using (AddressChange change = space.Begin())
        {
            change.Remove(region);
            change.Commit();
        }

        ram.Write(0x3F_FFF0, 0UL);
        Copy(device, DmaBuffer, RamStart + 0x3F_FFF0, 8, toRam: true);
        Assert.Equal(0UL, ram.Read<ulong>(0x3F_FFF0));
        Assert.Null(listener.Verify());
    }

    private static void CheckInterrupt(VfioDevice device)
    {
        using EventFd trigger = new();
        Assert.Equal(0, device.SetTriggers(VfioIrqIndex.Msi, 0, [trigger]));
        Write(device, RaiseInterrupt, 1);
        Assert.Equal(1, Poll.Wait([new PollItem(trigger.Descriptor, PollEvents.Readable)], 10_000));
        Assert.Equal(0, device.DisableIrqs(VfioIrqIndex.Msi));
    }

    private static void Copy(VfioDevice device, ulong from, ulong to, uint count, bool toRam)
    {
        const uint Start = 1;
        const uint ToRam = 2;
        Write(device, DmaSource, (uint)from);
        Write(device, DmaTarget, (uint)to);
        Write(device, DmaCount, count);
        Write(device, DmaCommand, Start | (toRam ? ToRam : 0));
        Assert.True(SpinWait.SpinUntil(() => (Read(device, DmaCommand) & Start) == 0, TimeSpan.FromSeconds(30)), "the device did not end its transfer");
    }

    private static uint Read(VfioDevice device, ulong offset)
    {
        Span<byte> bytes = stackalloc byte[4];
        Assert.Equal(0, device.Read(VfioRegionIndex.Bar0, offset, bytes));
        return BinaryPrimitives.ReadUInt32LittleEndian(bytes);
    }

    private static void Write(VfioDevice device, ulong offset, uint value)
    {
        Span<byte> bytes = stackalloc byte[4];
        BinaryPrimitives.WriteUInt32LittleEndian(bytes, value);
        Assert.Equal(0, device.Write(VfioRegionIndex.Bar0, offset, bytes));
    }

    private static (int Descriptors, int Maps) Held() =>
        (Directory.GetFiles("/proc/self/fd").Count(static path => new FileInfo(path).LinkTarget is { } target && IsVfio(target)), File.ReadLines(
            "/proc/self/maps").Count(IsVfio));

    private static bool IsVfio(string text) =>
        text.Contains("/dev/vfio", StringComparison.Ordinal) || text.Contains("[vfio", StringComparison.Ordinal)
            || text.Contains("/dev/iommu", StringComparison.Ordinal);

    private static VfioDeviceAddress RequireDevice(VfioPath path)
    {
        Assert.SkipUnless(Environment.GetEnvironmentVariable("APERTURE_IN_LAB") == "1",
            "needs the lab's devices: aperture lab run --lab-hardware passthrough --vfio 0000:00:17.0");
        string? found = Directory.GetDirectories("/sys/bus/pci/devices").FirstOrDefault(folder =>
            File.ReadAllText(Path.Combine(folder, "vendor")).Trim() == "0x1234" && File.ReadAllText(Path.Combine(folder, "device")).Trim() == "0x11e8"
            && new FileInfo(Path.Combine(folder, "driver")).LinkTarget?.EndsWith("/vfio-pci", StringComparison.Ordinal) == true);
        Assert.SkipWhen(found is null, "this lab has no edu device bound to vfio-pci");
        Assert.SkipUnless(path == VfioPath.Container || File.Exists("/dev/iommu"), "the lab's kernel has no iommufd");
        return VfioDeviceAddress.Sysfs(found!);
    }

    private sealed class Silent : IAccessHandler
    {
        public AccessResult Read(ulong offset, int size, out ulong value)
        {
            value = 0;
            return AccessResult.Ok;
        }

        public AccessResult Write(ulong offset, int size, ulong value) => AccessResult.Ok;
    }
}
