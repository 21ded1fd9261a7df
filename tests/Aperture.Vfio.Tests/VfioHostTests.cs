using Aperture.Assignment;
using Aperture.Linux;
using Aperture.Linux.Vfio;
using Aperture.Memory;
using FsCheck.Fluent;

namespace Aperture.Vfio.Tests;

public sealed class VfioHostTests : IDisposable
{
    private const string Nic = "0000:01:00.0";
    private const string Uuid = "83b8f4f2-509f-382f-3c1e-e6bfe0fa1001";
    private const string Disk = "0000:02:00.0";
    private static readonly AddressRange Low = new(GuestAddress.Zero, 0x10_0000);

    private readonly FakeHost _tree = new();
    private readonly FakeKernel _kernel = new();

    public void Dispose() => _tree.Dispose();

    [Fact]
    public void The_container_path_opens_in_the_kernels_order_and_closes_in_the_reverse()
    {
        _tree.Add(Nic, group: 7);
        using (VfioHost host = Open(VfioPath.Container))
        using (host.Open(At(Nic)))
        {
            Assert.Equal(
                ["Open vfio/vfio", "Open vfio/7", "SetContainer vfio/7", "SetIommu vfio/vfio", "announce vfio/7", $"GetDevice {Nic}", $"GetDeviceInfo {Nic}"],
                _kernel.Calls);
            _kernel.Calls.Clear();
        }

        Assert.Equal(["withdraw vfio/7", "UnsetContainer vfio/7"], _kernel.Calls);
        Assert.Empty(_kernel.StillOpen);
    }

    [Fact]
    public void The_iommufd_path_tells_the_hypervisor_before_it_binds()
    {
        _tree.Add(Nic, cdev: "vfio3");
        using (VfioHost host = Open(VfioPath.Auto, At(Nic)))
        using (host.Open(At(Nic)))
        {
            Assert.Equal((VfioPath.Iommufd, "the kernel and all devices have it"), (host.Path, host.Why));
            Assert.Equal(
                ["Open iommu", "AllocateSpace iommu", "Open vfio/devices/vfio3", "announce vfio/devices/vfio3", "Bind vfio/devices/vfio3",
                    "Attach vfio/devices/vfio3"],
                _kernel.Calls.SkipLast(1));
            _kernel.Calls.Clear();
        }

        Assert.Equal(["Detach vfio/devices/vfio3", "withdraw vfio/devices/vfio3"], _kernel.Calls);
        Assert.Empty(_kernel.StillOpen);
    }

    [Fact]
    public void Auto_takes_the_container_when_the_kernel_or_one_device_lacks_the_other_way()
    {
        _tree.Add(Nic);
        using (VfioHost host = Open(VfioPath.Auto, At(Nic)))
        {
            Assert.Equal((VfioPath.Container, "the kernel has no iommufd"), (host.Path, host.Why));
        }

        _tree.Add("0000:03:00.0", group: 3, cdev: "vfio1", hasNode: false);
        _tree.Add(Disk, group: 2, cdev: "vfio0");
        using VfioHost mixed = Open(VfioPath.Auto, At(Disk), At(Nic));
        Assert.Equal((VfioPath.Container, $"{Nic} has no character device"), (mixed.Path, mixed.Why));
        using VfioHost without = Open(VfioPath.Auto, At("0000:03:00.0"));
        Assert.Equal(VfioPath.Container, without.Path);
    }

    [Fact]
    public void Two_devices_of_one_group_share_its_file_and_the_last_gives_it_back()
    {
        _tree.Add(Nic, group: 7);
        _tree.Add(Disk, group: 7);
        using VfioHost host = Open(VfioPath.Container);
        VfioDevice first = host.Open(At(Nic));
        VfioDevice second = host.Open(At(Disk));
        Assert.Single(_kernel.Calls, "Open vfio/7");
        first.Dispose();
        first.Dispose();
        Assert.DoesNotContain("UnsetContainer vfio/7", _kernel.Calls);
        second.Dispose();
        Assert.Single(_kernel.Calls, "UnsetContainer vfio/7");
    }

    [Fact]
    public void Mappings_outlive_the_last_group_and_hold_for_the_next_one()
    {
        _tree.Add(Nic, group: 7);
        using VfioHost host = Open(VfioPath.Container);
        Assert.Equal(0, host.Iommu.Map(Low, new HostAddress(0x7000_0000), writable: true));
        Assert.Empty(_kernel.Mapped);
        for (int i = 0; i < 2; i++)
        {
            using (host.Open(At(Nic)))
            {
                Assert.Equal((Low, new HostAddress(0x7000_0000), true, "memory"), Assert.Single(_kernel.Mapped.Values));
            }

            Assert.Empty(_kernel.Mapped);
        }

        Assert.Equal(0, host.Iommu.Unmap(Low));
        using (host.Open(At(Nic)))
        {
            Assert.Empty(_kernel.Mapped);
        }
    }

    [Fact]
    public void Only_what_was_mapped_is_taken_back_and_only_whole()
    {
        _tree.Add(Nic, group: 7);
        using VfioHost host = Open(VfioPath.Container);
        using VfioDevice device = host.Open(At(Nic));
        Assert.Equal(0, host.Iommu.Map(Low, new HostAddress(0x7000_0000), writable: false));
        Assert.False(_kernel.Mapped[0].Writable);
        Assert.Equal(Errno.EEXIST, host.Iommu.Map(Low, new HostAddress(0x7000_0000), writable: false));
        Assert.Equal(Errno.ENOENT, host.Iommu.Unmap(new AddressRange(GuestAddress.Zero, 0x1000)));
        Assert.DoesNotContain(_kernel.Calls, call => call.StartsWith("UnmapDma", StringComparison.Ordinal));
        Assert.Equal(0, host.Iommu.Unmap(Low));

        // A kernel that unmaps nothing and calls that a success.
        Assert.Equal(0, host.Iommu.Map(Low, new HostAddress(0x7000_0000), writable: false));
        _kernel.Mapped.Clear();
        Assert.Equal(Errno.EINVAL, host.Iommu.Unmap(Low));
    }

    [Fact]
    public void Ranges_and_page_size_are_the_kernels()
    {
        _tree.Add(Nic);
        _kernel.Ranges.AddRange([new IovaRange(0xFEF0_0000, 0x7F_FFFF_FFFF), new IovaRange(0, 0xFEDF_FFFF)]);
        using VfioHost host = Open(VfioPath.Container);
        using VfioDevice device = host.Open(At(Nic));
        Assert.Equal(["0x0-0xfedfffff", "0xfef00000-0x7fffffffff"], host.Iommu.Ranges.Select(range => range.ToString()));
        Assert.Equal(4096UL, host.Iommu.PageSize);
    }

    [Fact]
    public void Iommufd_maps_a_devices_memory_as_a_buffer_of_the_device()
    {
        using TempFile bars = new(0x40_0000);
        _tree.Add(Nic, cdev: "vfio3");
        _kernel.Backing = bars.Path;
        _kernel.Regions[0] = new VfioRegionReply(VfioRegionFlags.Read | VfioRegionFlags.Write | VfioRegionFlags.Map, 0x10_0000, 0, null, false);
        using VfioHost host = Open(VfioPath.Iommufd);
        using VfioDevice device = host.Open(At(Nic));
        using RamBlock block = device.Map(0, new VfioArea(0x8000, 0x4000));
        AddressRange range = new(new GuestAddress(0xC000_0000), 0x2000);
        Assert.Equal(0, host.Iommu.Map(range, block.HostAddress + 0x1000, writable: true));
        Assert.Equal("buffer of vfio/devices/vfio3 region 0+0x9000 0x2000", _kernel.Mapped[0xC000_0000].From);
        Assert.DoesNotContain(_kernel.StillOpen, name => name.StartsWith("buffer", StringComparison.Ordinal));
        Assert.Equal(0, host.Iommu.Unmap(range));

        // An older kernel.
        _kernel.Refusals["GetDmaBuf"] = Errno.ENOTTY;
        Assert.Equal(Errno.EFAULT, host.Iommu.Map(range, block.HostAddress + 0x1000, writable: true));

        // Memory of this process goes by its address.
        Assert.Equal(0, host.Iommu.Map(Low, new HostAddress(0x7000_0000), writable: true));
        Assert.Equal("memory", _kernel.Mapped[0].From);
    }

    [Fact]
    public void A_device_that_cannot_reset_itself_is_reset_with_its_bus_unless_another_in_use_sits_there()
    {
        _tree.Add(Nic, group: 7);
        _tree.Add(Disk, group: 8);
        _kernel.DeviceFlags = VfioDeviceFlags.Pci;
        _kernel.Affected.Add(new VfioDependentDevice { Group = 7, Bus = 1 });
        using VfioHost host = Open(VfioPath.Container);
        using VfioDevice nic = host.Open(At(Nic));
        using VfioDevice disk = host.Open(At(Disk));
        Assert.StartsWith(Nic, nic.ResetWarning, StringComparison.Ordinal);
        Assert.Equal(0, nic.Reset());
        Assert.Contains($"HotReset {Nic} with 1 groups", _kernel.Calls);

        _kernel.Calls.Clear();
        _kernel.Affected.Add(new VfioDependentDevice { Group = 8, Bus = 2 });
        disk.SetIdle(false);
        Assert.Equal(Errno.ENOTTY, nic.Reset());
        Assert.DoesNotContain(_kernel.Calls, call => call.StartsWith("HotReset", StringComparison.Ordinal));
    }

    [Theory]
    [InlineData(VfioPath.Container)]
    [InlineData(VfioPath.Iommufd)]
    public void Functions_without_a_reset_of_their_own_are_reset_together_once_when_both_are_idle(VfioPath path)
    {
        const string Audio = "0000:01:00.1";
        _tree.Add(Nic, group: 7, cdev: "vfio0");
        _tree.Add(Audio, group: 8, cdev: "vfio1");
        _tree.Add(Disk, group: 9, cdev: "vfio2");
        _kernel.DeviceFlags = VfioDeviceFlags.Pci;
        _kernel.Affected.AddRange([new VfioDependentDevice { Group = 7, Bus = 1 }, new VfioDependentDevice { Group = 8, Bus = 1, DeviceFunction = 1 }]);
        using VfioHost host = Open(path);
        using VfioDevice gpu = host.Open(At(Nic));
        using VfioDevice audio = host.Open(At(Audio));
        using VfioDevice disk = host.Open(At(Disk));
        disk.SetIdle(false);

        // At start, and at each reset of the machine.
        for (int i = 0; i < 2; i++)
        {
            _kernel.Calls.Clear();
            Assert.Equal((0, 0), (gpu.Reset(), audio.Reset()));
            string call = Assert.Single(_kernel.Calls, each => each.StartsWith("HotReset", StringComparison.Ordinal));
            Assert.EndsWith(path == VfioPath.Container ? "with 2 groups" : "with 0 groups", call, StringComparison.Ordinal);
            gpu.SetIdle(false);
            audio.SetIdle(false);
            gpu.SetIdle(true);
            audio.SetIdle(true);
        }

        // What is in use is not taken away; what was used since is reset again.
        audio.SetIdle(false);
        _kernel.Calls.Clear();
        Assert.Equal(Errno.ENOTTY, gpu.Reset());
        Assert.DoesNotContain(_kernel.Calls, each => each.StartsWith("HotReset", StringComparison.Ordinal));
        audio.SetIdle(true);
        Assert.Equal(0, audio.Reset());
        Assert.Equal(0, gpu.Reset());
        gpu.SetIdle(false);
        gpu.SetIdle(true);
        Assert.Equal(0, gpu.Reset());
        Assert.Equal(2, _kernel.Calls.Count(each => each.StartsWith("HotReset", StringComparison.Ordinal)));
    }

    [Fact]
    public void A_function_does_not_answer_exactly_while_anothers_reset_takes_it_along_and_can_be_told_to_stop_meanwhile()
    {
        const string Audio = "0000:01:00.1";
        _tree.Add(Nic, group: 7);
        _tree.Add(Audio, group: 8);
        _tree.Add(Disk, group: 9);
        _kernel.DeviceFlags = VfioDeviceFlags.Pci;
        _kernel.Affected.AddRange([new VfioDependentDevice { Group = 7, Bus = 1 }, new VfioDependentDevice { Group = 8, Bus = 1, DeviceFunction = 1 }]);
        using VfioHost host = Open(VfioPath.Container);
        using VfioDevice gpu = host.Open(At(Nic));
        using VfioDevice audio = host.Open(At(Audio));
        using VfioDevice disk = host.Open(At(Disk));
        List<(bool, bool, bool)> seen = [];
        _kernel.Within = call =>
        {
            if (call == "HotReset")
            {
                seen.Add((gpu.IsResetAlong, audio.IsResetAlong, disk.IsResetAlong));
                Assert.True(Task.Run(() => audio.SetIdle(true)).Wait(TimeSpan.FromSeconds(30)));
            }
        };
        Assert.Equal(0, gpu.Reset());
        Assert.False(audio.IsResetAlong);
        _kernel.Refusals["HotReset"] = Errno.EPERM;
        Assert.Equal(Errno.ENOTTY, gpu.Reset());
        Assert.Equal([(false, true, false), (false, true, false)], seen);
        Assert.False(audio.IsResetAlong);
    }

    [Fact]
    public void Of_many_groups_only_those_of_the_bus_go_with_its_reset()
    {
        Prop.ForAll(Gen.ListOf(Gen.Choose(0, 5)).ToArbitrary(), buses =>
        {
            using FakeHost tree = new();
            FakeKernel kernel = new() { DeviceFlags = VfioDeviceFlags.Pci };
            using VfioHost host = VfioHost.Open(VfioPath.Container, [], null, null, kernel, tree.Places);
            int[] at = [0, .. buses.Take(12)];
            VfioDevice[] devices = new VfioDevice[at.Length];
            for (int i = 0; i < at.Length; i++)
            {
                Bdf bdf = new((byte)at[i], (byte)(i + 1), 0);
                string name = $"0000:{bdf}";
                tree.Add(name, group: 10 + i);
                devices[i] = host.Open(At(name));
                if (at[i] == 0)
                {
                    kernel.Affected.Add(new VfioDependentDevice { Group = (uint)(10 + i), Bus = 0, DeviceFunction = (byte)(bdf.RoutingId & 0xFF) });
                }
            }

            // The kernel that is faked checks: every group of the bus, and no more than there are functions.
            Assert.Equal(0, devices[0].Reset());
            Array.ForEach(devices, device => device.Dispose());
        }).Holds();
    }

    [Theory]
    [InlineData(VfioPath.Container, 12, null)]
    [InlineData(VfioPath.Iommufd, 12, "vfio5")]
    [InlineData(VfioPath.Iommufd, null, "vfio5")]
    public void A_mediated_device_needs_no_driver_of_the_PCI_bus_and_is_opened_by_its_UUID(VfioPath path, int? group, string? cdev)
    {
        string folder = _tree.AddMediated(Uuid, group, cdev);
        using VfioHost host = Open(path);
        using VfioDevice device = host.Open(VfioDeviceAddress.Sysfs(folder));
        Assert.Equal(Uuid, device.Name);
        Assert.Contains(path == VfioPath.Container ? $"GetDevice {Uuid}" : "Bind vfio/devices/vfio5", _kernel.Calls);
    }

    [Theory]
    [InlineData(VfioPath.Container, null, null, "has no VFIO device, because no driver of the host's serves it")]
    [InlineData(VfioPath.Container, null, "vfio5", "is in no VFIO group, because this kernel has none (CONFIG_VFIO_GROUP); give --vfio iommufd")]
    [InlineData(VfioPath.Iommufd, 12, null, "has no character device below /dev/vfio/devices")]
    public void A_mediated_device_that_cannot_be_had_this_way_is_refused_with_what_to_do(VfioPath path, int? group, string? cdev, string sentence)
    {
        string folder = _tree.AddMediated(Uuid, group, cdev);
        using VfioHost host = Open(path);
        Assert.Contains($"{Uuid} {sentence}", Assert.Throws<ApertureException>(() => host.Open(VfioDeviceAddress.Sysfs(folder))).Message,
            StringComparison.Ordinal);
    }

    private VfioHost Open(VfioPath path, params VfioDeviceAddress[] devices) => VfioHost.Open(
        path, devices, file => _kernel.Note("announce", file), file => _kernel.Note("withdraw", file), _kernel, _tree.Places);

    private static VfioDeviceAddress At(string name) =>
        VfioDeviceAddress.TryParse(name, out VfioDeviceAddress? address) ? address : throw new ArgumentException(name);
}
