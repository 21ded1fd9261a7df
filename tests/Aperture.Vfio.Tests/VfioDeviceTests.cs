using System.Runtime.InteropServices;
using Aperture.Assignment;
using Aperture.Linux;
using Aperture.Linux.Vfio;
using Aperture.Memory;
using FsCheck;
using FsCheck.Fluent;

namespace Aperture.Vfio.Tests;

public sealed class VfioDeviceTests : IDisposable
{
    private const string Name = "0000:01:00.0";
    private const ulong Page = 4096;
    private const VfioRegionFlags All = VfioRegionFlags.Read | VfioRegionFlags.Write | VfioRegionFlags.Map;

    private readonly TempFile _file = new(0x100_0000);
    private readonly FakeHost _tree = new();
    private readonly FakeKernel _kernel = new();
    private VfioHost? _host;

    public void Dispose()
    {
        _host?.Dispose();
        _tree.Dispose();
        _file.Dispose();
    }

    [Fact]
    public void Regions_and_interrupts_are_listed_by_index_with_those_that_are_not_there()
    {
        _kernel.Regions[2] = new VfioRegionReply(All, 0x4000, 0x2000_0000, [new VfioSparseArea(0x1000, 0x1000), new VfioSparseArea(0x3000, 0x1000)], false);
        _kernel.Regions[7] = new VfioRegionReply(VfioRegionFlags.Read | VfioRegionFlags.Write, 4096, 0x7000_0000, null, false);
        _kernel.Irqs[0] = (VfioIrqFlags.EventFd | VfioIrqFlags.Maskable | VfioIrqFlags.AutoMasked, 1);
        _kernel.Irqs[2] = (VfioIrqFlags.EventFd | VfioIrqFlags.NoResize, 33);
        VfioDevice device = Open();
        Assert.Equal(Enumerable.Range(0, 9), device.Regions.Select(region => region.Index));
        Assert.Equal([0UL, 0, 0x4000, 0, 0, 0, 0, 4096, 0], device.Regions.Select(region => region.Size));
        Assert.Equal([new VfioArea(0x1000, 0x1000), new VfioArea(0x3000, 0x1000)], device.Regions[2].Areas);
        Assert.Empty(device.Regions[7].Areas);
        Assert.Equal(
            [new VfioIrq(0, 1, true, true, true), new VfioIrq(1, 0, false, false, false), new VfioIrq(2, 33, false, false, false)],
            device.Irqs.Take(3));
        Assert.Equal(5, device.Irqs.Count);
    }

    [Fact]
    public void Areas_are_whole_pages_inside_the_region_sorted_and_disjoint_whatever_the_kernel_says()
    {
        Gen<ulong> number = Gen.OneOf(Gen.Choose(0, 0x9000).Select(value => (ulong)value), Gen.Elements(ulong.MaxValue, ulong.MaxValue - 4095, 1UL << 63));
        Gen<VfioSparseArea[]> sparse = (from offset in number from length in number select new VfioSparseArea(offset, length)).ArrayOf();
        Prop.ForAll(sparse.ToArbitrary(), Gen.Choose(0, 0x9000).ToArbitrary(), (areas, size) =>
        {
            VfioRegion region = RegionShape.From(0, new VfioRegionReply(All, (ulong)size, 0, areas, false));
            ulong next = 0;
            foreach (VfioArea area in region.Areas)
            {
                Assert.True(area.Size > 0 && (area.Offset | area.Size) % Page == 0);
                Assert.True(area.Offset >= next && area.Offset + area.Size <= (ulong)size);
                next = area.Offset + area.Size;
            }

            // Page by page: mapped exactly when one area of the kernel's holds the whole page.
            for (ulong page = 0; page + Page <= (ulong)size; page += Page)
            {
                bool offered = areas.Any(area => area.Offset <= page && (area.Length >= page + Page - area.Offset));
                Assert.Equal(offered, region.Areas.Any(area => area.Offset <= page && page < area.Offset + area.Size));
            }
        }).Holds();
    }

    [Fact]
    public void Accesses_go_to_the_regions_place_in_the_descriptor()
    {
        _kernel.Regions[0] = new VfioRegionReply(All, 0x1000, 0x3000, null, false);
        VfioDevice device = Open();
        Assert.Equal(0, device.Write(0, 0x10, [1, 2, 3, 4]));
        byte[] back = new byte[4];
        Assert.Equal(0, device.Read(0, 0x10, back));
        Assert.Equal([1, 2, 3, 4], back);
        Assert.Equal([1, 2, 3, 4], File.ReadAllBytes(_file.Path)[0x3010..0x3014]);
    }

    [Theory]
    [InlineData(0, 0xFFD)]
    [InlineData(0, ulong.MaxValue)]
    [InlineData(1, 0)]
    [InlineData(99, 0)]
    public void An_access_outside_its_region_is_refused_and_reads_as_ones(int region, ulong offset)
    {
        _kernel.Regions[0] = new VfioRegionReply(All, 0x1000, 0, null, false);
        VfioDevice device = Open();
        byte[] bytes = new byte[4];
        Assert.Equal(Errno.EINVAL, device.Read(region, offset, bytes));
        Assert.Equal([0xFF, 0xFF, 0xFF, 0xFF], bytes);
        Assert.Equal(Errno.EINVAL, device.Write(region, offset, bytes));
    }

    [Fact]
    public void A_device_that_has_gone_reads_as_ones_with_an_error()
    {
        // Past the file's end: the kernel reads nothing.
        _kernel.Regions[0] = new VfioRegionReply(All, 0x1000, 0x100_0000, null, false);
        byte[] bytes = new byte[8];
        Assert.Equal(Errno.EIO, Open().Read(0, 0, bytes));
        Assert.All(bytes, value => Assert.Equal(0xFF, value));
    }

    [Theory]
    [InlineData(0x40_0000UL, 0UL, 0x40_0000UL)]
    [InlineData(0x40_0000UL, 0x1000UL, 0x20_0000UL)]
    [InlineData(0x40_0000UL, 0x3F_F000UL, 0x1000UL)]
    [InlineData(0x1000UL, 0UL, 0x1000UL)]
    [InlineData(0x30_0000UL, 0x10_0000UL, 0x20_0000UL)]
    public void A_mapping_lies_as_its_offset_does_modulo_the_regions_alignment(ulong regionSize, ulong offset, ulong size)
    {
        _kernel.Regions[1] = new VfioRegionReply(All, regionSize, 0x1000, null, false);
        using RamBlock block = Open().Map(1, new VfioArea(offset, size));
        ulong alignment = regionSize & (~regionSize + 1);
        Assert.Equal(offset % alignment, block.HostAddress.Value % alignment);
        Assert.True(block.IsForeign);
        Assert.Equal(size, block.Size);
        Assert.Equal(size, MappedAt(block.HostAddress, _file.Path, 0x1000 + offset));
    }

    // A file that ends inside the region is a driver that has no memory behind its end: a touch there raises SIGBUS.
    [Theory]
    [InlineData(0x100_0000 - 0x4000, 0x8000, 0, 0x4000, 0x4000)]
    [InlineData(0x100_0000 - 0x3000, 0x8000, 0x1000, 0x3000, 0x5000)]
    [InlineData(0x100_0000, 0x1000, 0, 0, 0x1000)]
    [InlineData(0x100_0000 - 0x10_0000, 0x80_0000, 0, 0x10_0000, 0x70_0000)]
    public void Where_a_driver_has_no_memory_all_ones_are_put_once_and_elsewhere_the_device_stays(int at, int size, int areaAt, int missingAt, int missing)
    {
        _kernel.Regions[1] = new VfioRegionReply(All, (ulong)size, (ulong)at, null, false);
        VfioDevice device = Open();
        using RamBlock block = device.Map(1, new VfioArea((ulong)areaAt, (ulong)(size - areaAt)));
        nint start = (nint)block.HostAddress.Value - areaAt;
        Assert.Equal([new MissingMemory($"{Name} region 1", (ulong)missingAt, (ulong)missing)], _host!.ReplaceMissing());
        Assert.All([missingAt, missingAt + (missing / 2), missingAt + missing - 1], each => Assert.Equal(0xFF, Marshal.ReadByte(start + each)));
        Assert.Equal((ulong)(missingAt - areaAt), MappedAt(block.HostAddress, _file.Path, (ulong)(at + areaAt)));
        Marshal.WriteByte(start + missingAt, 7);
        Assert.Empty(_host.ReplaceMissing());
        Assert.Equal(7, Marshal.ReadByte(start + missingAt));
        if (missingAt > areaAt)
        {
            Assert.Equal(0, Marshal.ReadByte(start + missingAt - 1));
        }
    }

    [Fact]
    public void Where_every_driver_has_its_memory_nothing_is_replaced()
    {
        _kernel.Regions[1] = new VfioRegionReply(All, 0x40_0000, 0, null, false);
        VfioDevice device = Open();
        Assert.Empty(_host!.ReplaceMissing());
        using RamBlock block = device.Map(1, new VfioArea(0, 0x40_0000));
        Assert.Empty(_host.ReplaceMissing());
        Assert.Equal(0x40_0000UL, MappedAt(block.HostAddress, _file.Path, 0));
    }

    [Fact]
    public void A_disposed_mapping_leaves_nothing_mapped()
    {
        _kernel.Regions[1] = new VfioRegionReply(All, 0x40_0000, 0, null, false);
        VfioDevice device = Open();
        RamBlock block = device.Map(1, new VfioArea(0, 0x40_0000));
        HostAddress at = block.HostAddress;
        block.Dispose();
        Assert.Equal(0UL, MappedAt(at, _file.Path, 0));
    }

    [Fact]
    public void A_region_that_can_be_mapped_whole_is_a_part_of_the_devices_file()
    {
        _kernel.Regions[1] = new VfioRegionReply(All, 0x4000, 0x100_0000_0000, null, false);
        _kernel.Regions[2] = new VfioRegionReply(All, 0x4000, 0x200_0000_0000, [new VfioSparseArea(0x1000, 0x1000)], false);
        _kernel.Regions[3] = new VfioRegionReply(VfioRegionFlags.Read | VfioRegionFlags.Write, 0x4000, 0x300_0000_0000, null, false);
        VfioDevice device = Open();
        Assert.NotNull(device.Share(1, out ulong offset));
        Assert.Equal(0x100_0000_0000UL, offset);
        Assert.All([-1, 2, 3, 4, 99], region => Assert.Null(device.Share(region, out _)));
    }

    [Fact]
    public void What_is_not_whole_pages_of_the_region_is_not_mapped()
    {
        _kernel.Regions[1] = new VfioRegionReply(All, 0x4000, 0, null, false);
        VfioDevice device = Open();
        foreach (VfioArea area in new VfioArea[] { new(0, 0), new(0, 0x5000), new(0x800, 0x1000), new(0x4000, 0x1000), new(0, 0x800),
            new(ulong.MaxValue - 4095, Page) })
        {
            Assert.Throws<ArgumentOutOfRangeException>(() => device.Map(1, area));
        }
    }

    [Fact]
    public void Triggers_pass_their_descriptors_and_minus_one_for_none()
    {
        VfioDevice device = Open();
        using EventFd one = new();
        using EventFd two = new();
        Assert.Equal(0, device.SetTriggers(VfioIrqIndex.Msix, 3, [one, null, two]));
        Assert.Equal([one.Descriptor.Number, -1, two.Descriptor.Number], _kernel.LastEventFds);
        Assert.Equal("SetIrqs EventFds, Trigger 2 3+3", _kernel.Calls[^1]);
        Assert.Equal(0, device.SetTriggers(VfioIrqIndex.Msix, 0, new EventFd?[2048]));
        Assert.Equal(2048, _kernel.LastEventFds.Count);
    }

    [Fact]
    public void Interrupt_calls_are_those_of_the_kernels_interface_and_answer_with_errnos()
    {
        VfioDevice device = Open();
        using EventFd unmask = new();
        Assert.Equal(0, device.DisableIrqs(VfioIrqIndex.Msi));
        Assert.Equal("SetIrqs NoData, Trigger 1 0+0", _kernel.Calls[^1]);
        Assert.Equal(0, device.SetIntxMask(true));
        Assert.Equal("SetIrqs NoData, Mask 0 0+1", _kernel.Calls[^1]);
        Assert.Equal(0, device.SetIntxMask(false));
        Assert.Equal("SetIrqs NoData, Unmask 0 0+1", _kernel.Calls[^1]);
        Assert.Equal(0, device.SetIntxUnmask(unmask));
        Assert.Equal("SetIrqs EventFds, Unmask 0 0+1", _kernel.Calls[^1]);
        Assert.Equal([unmask.Descriptor.Number], _kernel.LastEventFds);
        Assert.Equal(0, device.SetIntxUnmask(null));
        Assert.Equal([-1], _kernel.LastEventFds);
        _kernel.Refusals["SetIrqs"] = Errno.ENOSPC;
        Assert.Equal(Errno.ENOSPC, device.SetTriggers(VfioIrqIndex.Msi, 0, [unmask]));
    }

    [Theory]
    [InlineData("0000:01:00.0", "0000:01:00.0", null, null)]
    [InlineData("01:00.0", "0000:01:00.0", null, null)]
    [InlineData("10a2:3f:1f.7", "10a2:3f:1f.7", null, null)]
    [InlineData("/sys/bus/pci/devices/0000:01:00.0", null, "/sys/bus/pci/devices/0000:01:00.0", null)]
    [InlineData("17", null, null, 17)]
    public void Addresses_are_read_in_every_form(string text, string? pci, string? sysfs, int? descriptor)
    {
        Assert.True(VfioDeviceAddress.TryParse(text, out VfioDeviceAddress? address));
        Assert.Equal((pci, sysfs, descriptor), (address.PciName, address.SysfsPath, address.Descriptor));
    }

    [Theory]
    [InlineData("")]
    [InlineData("nic")]
    [InlineData("01:20.0")]
    [InlineData("01:00.8")]
    [InlineData("12345:01:00.0")]
    [InlineData("-1")]
    [InlineData(":01:00.0")]
    public void What_is_no_address_is_refused(string text) => Assert.False(VfioDeviceAddress.TryParse(text, out _));

    // How many bytes /proc/self/maps shows of the file at exactly that address and offset.
    private static ulong MappedAt(HostAddress host, string path, ulong offset)
    {
        foreach (string line in File.ReadLines("/proc/self/maps"))
        {
            string[] words = line.Split(' ', StringSplitOptions.RemoveEmptyEntries);
            string[] ends = words[0].Split('-');
            if (Convert.ToUInt64(ends[0], 16) == host.Value && words[^1] == path && Convert.ToUInt64(words[2], 16) == offset)
            {
                return Convert.ToUInt64(ends[1], 16) - host.Value;
            }
        }

        return 0;
    }

    private VfioDevice Open()
    {
        _kernel.Backing = _file.Path;
        _tree.Add(Name);
        _host = VfioHost.Open(VfioPath.Container, [], null, null, _kernel, _tree.Places);
        return _host.Open(VfioDeviceAddress.TryParse(Name, out VfioDeviceAddress? address) ? address : throw new InvalidOperationException());
    }
}
