using Aperture.Linux;
using Aperture.Linux.Vfio;

namespace Aperture.Vfio.Tests;

/// <summary>Every way in which a device cannot be had ends in one sentence with what to do, and leaves nothing open.</summary>
public sealed class VfioFailureTests : IDisposable
{
    private const string Nic = "0000:01:00.0";

    private readonly FakeHost _tree = new();
    private readonly FakeKernel _kernel = new();

    public void Dispose() => _tree.Dispose();

    [Fact]
    public void A_device_that_is_not_there() =>
        Fails(VfioPath.Container, $"the host has no PCI device {Nic}; lspci -D lists those it has");

    [Fact]
    public void A_device_with_a_driver_of_the_hosts()
    {
        _tree.Add(Nic, driver: "e1000e");
        Fails(VfioPath.Container,
            $"{Nic} is bound to the driver e1000e, not to vfio-pci; give it over with: modprobe vfio-pci; "
            + $"echo vfio-pci > /sys/bus/pci/devices/{Nic}/driver_override; echo {Nic} > /sys/bus/pci/devices/{Nic}/driver/unbind; echo {Nic} > "
            + "/sys/bus/pci/drivers_probe");
    }

    [Fact]
    public void A_device_without_a_driver()
    {
        _tree.Add(Nic, driver: null);
        Fails(VfioPath.Iommufd,
            $"{Nic} is bound to no driver, not to vfio-pci; give it over with: modprobe vfio-pci; "
            + $"echo vfio-pci > /sys/bus/pci/devices/{Nic}/driver_override; echo {Nic} > /sys/bus/pci/drivers_probe");
    }

    [Fact]
    public void A_host_without_an_IOMMU()
    {
        _tree.Add(Nic, group: null);
        Fails(VfioPath.Container,
            $"{Nic} is in no IOMMU group, because the host has no IOMMU in use; turn VT-d or AMD-Vi on in the firmware setup and start the host's kernel with "
            + "intel_iommu=on (Intel) or amd_iommu=on (AMD)");
    }

    [Theory]
    [InlineData(VfioPath.Container)]
    [InlineData(VfioPath.Iommufd)]
    public void A_group_whose_other_members_have_drivers_of_the_hosts(VfioPath path)
    {
        _tree.Add(Nic, cdev: "vfio0");
        _tree.Add("0000:01:00.1", driver: "snd_hda_intel");
        _tree.Add("0000:01:00.2", driver: "xhci_hcd");
        _tree.Add("0000:00:01.0", driver: "pcieport");
        _tree.Add("0000:01:00.3", driver: null);
        _kernel.GroupFlags = VfioGroupFlags.None;
        _kernel.Refusals["Bind"] = Errno.EBUSY;
        Fails(path,
            $"{Nic} cannot be assigned while drivers of the host hold other devices of its IOMMU group 1: 0000:01:00.1 (snd_hda_intel), 0000:01:00.2 "
                + "(xhci_hcd); "
            + "give these to vfio-pci too");
    }

    [Theory]
    [InlineData("Open vfio/1", Errno.EACCES,
        "/dev/vfio/1 may not be opened by this user, so 0000:01:00.0 cannot be assigned; allow it with: chown $USER /dev/vfio/1, or run as root")]
    [InlineData("Open vfio/1", Errno.EBUSY, "0000:01:00.0 is in use by another process; end the one that fuser -v /dev/vfio/1 shows")]
    [InlineData("Open vfio/1", Errno.ENOENT, "/dev/vfio/1, the IOMMU group of 0000:01:00.0, is missing; bind 0000:01:00.0 to vfio-pci and let udev make it")]
    [InlineData("Open vfio/vfio", Errno.ENOENT, "this kernel has no VFIO (/dev/vfio/vfio is missing); load it with: modprobe vfio-pci")]
    [InlineData("SetContainer", Errno.EBUSY, "0000:01:00.0 is in use by another process; end the one that fuser -v /dev/vfio/1 shows")]
    [InlineData("SetIommu", Errno.EPERM,
        "0000:01:00.0 cannot be assigned safely, because the host's IOMMU does not remap interrupts; turn that on in the firmware setup, or accept the risk "
            + "with: echo Y > /sys/module/vfio_iommu_type1/parameters/allow_unsafe_interrupts")]
    [InlineData("GetDevice", Errno.ENODEV, "0000:01:00.0 is no longer bound to vfio-pci; bind it again and start over")]
    [InlineData("GetDeviceInfo", Errno.EIO, "the kernel does not describe 0000:01:00.0: Input/output error (errno 5)")]
    public void What_the_kernel_refuses_on_the_container_path(string call, int errno, string sentence)
    {
        _tree.Add(Nic);
        _kernel.Refusals[call] = errno;
        Fails(VfioPath.Container, sentence);
    }

    [Theory]
    [InlineData("Open iommu", Errno.ENOENT,
        "this kernel has no iommufd (/dev/iommu is missing); use a kernel from Linux 6.6 on with CONFIG_IOMMUFD, or give --vfio container")]
    [InlineData("Open iommu", Errno.EACCES,
        "/dev/iommu may not be opened by this user, so a device cannot be assigned; allow it with: chown $USER /dev/iommu, or run as root")]
    [InlineData("Open vfio/devices/vfio0", Errno.EPERM,
        "/dev/vfio/devices/vfio0 may not be opened by this user, so 0000:01:00.0 cannot be assigned; allow it with: chown $USER /dev/vfio/devices/vfio0, or "
            + "run as root")]
    [InlineData("Bind", Errno.EBUSY, "0000:01:00.0 is in use by another process; end the one that fuser -v /dev/vfio/devices/vfio0 shows")]
    [InlineData("Bind", Errno.EINVAL, "0000:01:00.0 is in use by another process; end the one that fuser -v /dev/vfio/devices/vfio0 shows")]
    [InlineData("Attach", Errno.EINVAL, "the guest's memory lies where the host's IOMMU reserves addresses for 0000:01:00.0; aperture plan shows which")]
    public void What_the_kernel_refuses_on_the_iommufd_path(string call, int errno, string sentence)
    {
        _tree.Add(Nic, cdev: "vfio0");
        _kernel.Refusals[call] = errno;
        Fails(VfioPath.Iommufd, sentence);
    }

    [Fact]
    public void A_device_that_the_kernel_has_no_character_device_for()
    {
        _tree.Add(Nic);
        Fails(VfioPath.Iommufd,
            $"{Nic} has no character device below /dev/vfio/devices, which this kernel makes from Linux 6.6 on with CONFIG_VFIO_DEVICE_CDEV; give --vfio "
                + "container");
    }

    [Fact]
    public void A_hypervisor_that_refuses_the_file_gets_it_back()
    {
        _tree.Add(Nic);
        using VfioHost host =
            VfioHost.Open(VfioPath.Container, [], _ => throw new LinuxException("cannot tell KVM of a VFIO file", Errno.EEXIST), null, _kernel, _tree.Places);
        Assert.Throws<LinuxException>(() => host.Open(Address));
        Assert.Contains("UnsetContainer vfio/1", _kernel.Calls);
        Assert.Equal(["vfio/vfio"], _kernel.StillOpen);
    }

    [Fact]
    public void Memory_that_cannot_be_mapped_for_a_device_that_comes_later()
    {
        _tree.Add(Nic);
        using VfioHost host = VfioHost.Open(VfioPath.Container, [], null, null, _kernel, _tree.Places);
        host.Iommu.Map(new AddressRange(GuestAddress.Zero, 0x1000), new HostAddress(0x1000), writable: true);
        _kernel.Refusals["MapDma"] = Errno.ENOSPC;
        ApertureException failure = Assert.Throws<ApertureException>(() => host.Open(Address));
        Assert.StartsWith($"guest memory at 0x0-0xfff cannot be mapped for {Nic}: the kernel takes no more mappings", failure.Message,
            StringComparison.Ordinal);
        Assert.Equal(["vfio/vfio"], _kernel.StillOpen);
    }

    [Fact]
    public void A_descriptor_that_is_no_device()
    {
        using SafeFileDescriptor other = FileDescriptors.Open("/dev/null", OpenFlags.ReadWrite);
        using VfioHost host = VfioHost.Open(VfioPath.Iommufd, [], null, null, _kernel, _tree.Places);
        ApertureException failure = Assert.Throws<ApertureException>(() => host.Open(VfioDeviceAddress.Passed(other.Number)));
        Assert.Equal(
            $"descriptor {other.Number} is /dev/null, not a device's character device; pass one of /dev/vfio/devices/vfioN, opened for reading and writing",
            failure.Message);
        using SafeFileDescriptor passed = FileDescriptors.Open("/dev/null", OpenFlags.ReadWrite);
        Assert.Throws<ApertureException>(() => host.Open(VfioDeviceAddress.Passed(passed.Number), passed));
        Assert.True(passed.IsClosed);
        Assert.False(other.IsClosed);
    }

    [Theory]
    [InlineData(100UL << 20, 64UL << 20,
        "104857600 bytes of memory have to be locked and this process may lock 67108864 (RLIMIT_MEMLOCK); raise it with ulimit -l 167936, or "
            + "LimitMEMLOCK=infinity in its systemd unit")]
    [InlineData(100UL << 20, 200UL << 20, "the host has not enough memory left to lock 100M; give the guest less")]
    [InlineData(100UL << 20, null, "the host has not enough memory left to lock 100M; give the guest less")]
    public void The_memory_lock_limit_is_named_with_the_bytes_needed_when_it_is_the_reason(ulong needed, ulong? limit, string reason) =>
        Assert.Equal(reason, IommuReason.Memory(needed, limit));

    [Fact]
    public void A_BAR_that_the_kernel_cannot_map_names_the_kernel_that_can() =>
        Assert.Contains("6.19", IommuReason.For(Errno.EFAULT, new AddressRange(new GuestAddress(0xC000_0000), 0x4000), [], 0, isDevice: true),
            StringComparison.Ordinal);

    private static VfioDeviceAddress Address =>
        VfioDeviceAddress.TryParse(Nic, out VfioDeviceAddress? address) ? address : throw new InvalidOperationException();

    private void Fails(VfioPath path, string sentence)
    {
        ApertureException failure = Assert.Throws<ApertureException>(() =>
        {
            using VfioHost host = VfioHost.Open(path, [], null, null, _kernel, _tree.Places);
            host.Open(Address);
        });
        Assert.Equal(sentence, failure.Message);
        Assert.Equal(ApertureException.HostFailure, failure.ExitCode);
        Assert.Empty(_kernel.StillOpen);
    }
}
