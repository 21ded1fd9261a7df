using Aperture.Pci.Capabilities;
using Aperture.Pci.Ports;
using Aperture.Pci.Registers;
using FsCheck;
using FsCheck.Fluent;

namespace Aperture.Pci.Tests;

/// <summary>
/// SR-IOV: which VFs answer where, and what their BARs decode, against an oracle that counts routing ids and addresses from register values alone.
/// </summary>
public class SriovTests
{
    private const int At = 0x108;
    private const uint VfEnable = 1;
    private const uint MemoryEnable = 8;
    private const ulong Window = 0x10_0000_0000;

    // What a VF's revision and class read as: its ids read as ones, like those of a function that is not there.
    private const uint Class = 0xFF00_0003;

    private static readonly uint[] Pages = [1, 2, 0x10, 0x40, 0x100, 0x400];

    private sealed record Device(PciFunction Function, SriovCapability Sriov, Bar Wide, Bar Narrow);

    private sealed record Draw(
        byte Place, int Bus, int Last, bool Ari, int Total, int Offset, int Stride, int Vfs, uint Control, int Page, int Share, uint Address);

    private static Device Make(int total, ushort offset, ushort stride, ulong share = 0x1000)
    {
        PciFunction function = Build.Function("nic");
        function.AddCapability(new AriCapability());
        SriovCapability sriov = new([.. Enumerable.Range(0, total).Select(i => new VirtualFunction(function, i))], 0x9ABC, offset, stride);
        function.AddCapability(sriov);
        return new Device(function, sriov, sriov.AddBar(0, BarKind.Memory64Prefetchable, share), sriov.AddBar(3, BarKind.Memory32, 0x4000));
    }

    private static (PciHierarchy Hierarchy, RootPort Port) Behind(Device device, byte place = 0, byte bus = 1, byte last = 3, bool ari = true)
    {
        PciHierarchy hierarchy = new();
        RootPort port = new("rp", 1);
        hierarchy.Root.Add(0x10, port);
        port.ProgramBusNumbers(0, bus, last);
        port.ProgramWindow(BridgeWindow.Memory, Build.Range(0xD000_0000, 0x1000_0000));
        port.ProgramWindow(BridgeWindow.Prefetchable, Build.Range(Window, Window));
        port.ProgramCommand(PciCommand.MemorySpace, PciCommand.MemorySpace);
        port.Secondary.Add(place, device.Function);
        if (ari)
        {
            port.WriteConfig(port.Find<PciExpressCapability>()!.Offset + 0x28, 2, 1 << 5);
        }

        return (hierarchy, port);
    }

    private static void Write(PciHierarchy hierarchy, PciFunction function, int register, uint value, int size = 4) =>
        hierarchy.ConfigWrite(function.Bdf, At + register, size, value);

    [Fact]
    public void The_capability_says_what_it_has_and_its_BARs_are_sized_for_one_VF()
    {
        Device device = Make(7, 0x80, 2, 0x2000);
        (PciHierarchy hierarchy, _) = Behind(device);
        uint Read(int register, int size = 4) => hierarchy.ConfigRead(device.Function.Bdf, At + register, size);
        Assert.Equal(0x0001_0010u, Read(0) & 0xF_FFFF);
        Assert.Equal((7u, 7u, 0u), (Read(0x0C, 2), Read(0x0E, 2), Read(0x10, 2)));
        Assert.Equal((0x80u, 2u, 0x9ABCu), (Read(0x14, 2), Read(0x16, 2), Read(0x1A, 2)));
        Assert.Equal((0x553u, 1u), (Read(0x1C), Read(0x20)));
        Write(hierarchy, device.Function, 0x24, uint.MaxValue);
        Write(hierarchy, device.Function, 0x28, uint.MaxValue);
        Write(hierarchy, device.Function, 0x30, uint.MaxValue);
        Assert.Equal((0xFFFF_E00Cu, uint.MaxValue, 0xFFFF_C000u), (Read(0x24), Read(0x28), Read(0x30)));
        Assert.Equal(("vf-bar0", "vf-bar3"), (device.Wide.Name, device.Narrow.Name));
        Assert.Equal((7UL * 0x2000, 7UL * 0x4000), (device.Wide.FullSize, device.Narrow.FullSize));
    }

    [Fact]
    public void A_VF_has_no_ids_no_BARs_and_no_memory_enable_of_its_own()
    {
        Device device = Make(2, 1, 1);
        (PciHierarchy hierarchy, _) = Behind(device);
        Write(hierarchy, device.Function, 0x10, 2, 2);
        Write(hierarchy, device.Function, 8, VfEnable, 2);
        Bdf second = new(0x0102);
        Assert.True(hierarchy.TryFind(second, out PciFunction? found));
        Assert.Equal(("nic.vf1", second), (found.Name, found.Bdf));
        Assert.Equal(uint.MaxValue, hierarchy.ConfigRead(second, 0, 4));
        Assert.Equal(Class, hierarchy.ConfigRead(second, 8, 4));
        Assert.Equal(0xEF01_ABCDu, hierarchy.ConfigRead(second, 0x2C, 4));
        foreach (int register in (int[])[0x0C, 0x10, 0x14, 0x18, 0x1C, 0x20, 0x24, 0x30, 0x3C])
        {
            hierarchy.ConfigWrite(second, register, 4, uint.MaxValue);
            Assert.Equal(0u, hierarchy.ConfigRead(second, register, 4));
        }

        hierarchy.ConfigWrite(second, 4, 2, 0xFFFF);
        Assert.Equal((uint)PciCommand.BusMaster, hierarchy.ConfigRead(second, 4, 2));
    }

    [Fact]
    public void While_VFs_are_enabled_their_number_and_the_page_size_stay()
    {
        Device device = Make(4, 1, 1);
        (PciHierarchy hierarchy, _) = Behind(device);
        Write(hierarchy, device.Function, 0x10, 3, 2);
        Write(hierarchy, device.Function, 0x20, 0x10);
        Write(hierarchy, device.Function, 8, VfEnable, 2);
        Write(hierarchy, device.Function, 0x10, 1, 2);
        Write(hierarchy, device.Function, 0x20, 1);
        Assert.Equal((3, 0x1_0000UL), (device.Sriov.Enabled, device.Wide.Size));
        Write(hierarchy, device.Function, 8, 0, 2);
        Write(hierarchy, device.Function, 0x20, 0x11);
        Assert.Equal((0, 0x1_0000UL), (device.Sriov.Enabled, device.Wide.Size));
    }

    [Theory]
    [InlineData(ResetKind.Function)]
    [InlineData(ResetKind.Conventional)]
    [InlineData(ResetKind.Cold)]
    public void A_reset_of_the_function_ends_its_VFs_and_all_but_a_function_reset_leave_the_ARI_hierarchy(ResetKind kind)
    {
        Device device = Make(4, 1, 1);
        (PciHierarchy hierarchy, _) = Behind(device);
        device.Wide.SetPin(Build.At(Window));
        Write(hierarchy, device.Function, 0x10, 4, 2);
        Write(hierarchy, device.Function, 0x20, 0x400);
        Write(hierarchy, device.Function, 0x30, 0xD000_0000);
        Write(hierarchy, device.Function, 8, VfEnable | MemoryEnable | 0x10, 2);
        Assert.NotEqual(uint.MaxValue, hierarchy.ConfigRead(new Bdf(0x0101), 8, 4));
        device.Function.Reset(kind);
        Assert.Equal(uint.MaxValue, hierarchy.ConfigRead(new Bdf(0x0101), 8, 4));
        Assert.Equal((0, 0x1000UL, 0x4000UL), (device.Sriov.Enabled, device.Wide.Size, device.Narrow.Size));
        Assert.Equal((Window, 0UL), (device.Wide.Programmed.Value, device.Narrow.Programmed.Value));
        Assert.Equal(kind == ResetKind.Function ? 0x10u : 0u, hierarchy.ConfigRead(device.Function.Bdf, At + 8, 2));
    }

    [Fact]
    public void VFs_leave_with_their_function()
    {
        Device device = Make(4, 1, 1);
        (PciHierarchy hierarchy, RootPort port) = Behind(device);
        Write(hierarchy, device.Function, 0x10, 4, 2);
        Write(hierarchy, device.Function, 8, VfEnable, 2);
        port.Secondary.Remove(device.Function);
        Assert.Equal(uint.MaxValue, hierarchy.ConfigRead(new Bdf(0x0101), 8, 4));
    }

    [Fact]
    public void BARs_that_no_VFs_could_have_are_refused()
    {
        SriovCapability sriov = Make(256, 1, 1).Sriov;
        Assert.Throws<ApertureException>(() => sriov.AddBar(1, BarKind.Memory32, 0x1000));
        Assert.Throws<ApertureException>(() => sriov.AddBar(2, BarKind.Memory64, 0x1000));
        Assert.Throws<ApertureException>(() => sriov.AddBar(5, BarKind.Memory64, 0x1000));
        Assert.Throws<ApertureException>(() => sriov.AddBar(4, BarKind.Io, 0x100));
        Assert.Throws<ApertureException>(() => sriov.AddBar(4, BarKind.Memory64, 1UL << 60));
        Assert.NotNull(sriov.AddBar(4, BarKind.Memory64, 1UL << 50));
    }

    private static Gen<Draw> Draws { get; } =
        from place in Gen.Choose(0, 255)
        from bus in Gen.Choose(1, 3)
        from more in Gen.Choose(0, 3)
        from ari in Gen.Elements(true, false)
        from total in Gen.Choose(1, 40)
        from offset in Gen.OneOf(Gen.Choose(1, 20), Gen.Choose(1, 600))
        from stride in Gen.OneOf(Gen.Choose(1, 4), Gen.Choose(1, 300))
        from vfs in Gen.Choose(0, 45)
        from control in Gen.Elements(0u, VfEnable, VfEnable | MemoryEnable, VfEnable | MemoryEnable, MemoryEnable)
        from page in Gen.Choose(0, 5)
        from share in Gen.Choose(4, 22)
        from address in Gen.Choose(1, 0xFFF)
        select new Draw((byte)place, bus, bus + more, ari, total, offset, stride, vfs, control, page, share, (uint)address << 20);

    [Fact]
    public void VFs_answer_at_the_routing_ids_that_the_registers_say_and_nowhere_else() =>
        Prop.ForAll(Draws.ToArbitrary(), draw =>
        {
            Device device = Make(draw.Total, (ushort)draw.Offset, (ushort)draw.Stride, 1UL << draw.Share);
            (PciHierarchy hierarchy, _) = Behind(device, draw.Place, (byte)draw.Bus, (byte)draw.Last, draw.Ari);
            Set(device, draw);
            int own = (draw.Bus << 8) | draw.Place;
            HashSet<int> expected = Answers(draw, own) ? [own] : [];
            for (int vf = 0; vf < Enabled(draw); vf++)
            {
                int routingId = own + draw.Offset + (vf * draw.Stride);
                if (Answers(draw, routingId))
                {
                    expected.Add(routingId);
                }
            }

            HashSet<int> found = [.. Enumerable.Range(0x100, 0x800).Where(id => hierarchy.ConfigRead(new Bdf((ushort)id), 8, 4) == Class)];
            Assert.Equal(expected.Order(), found.Order());
            Assert.All(found, id =>
            {
                Assert.True(hierarchy.TryFind(new Bdf((ushort)id), out PciFunction? function));
                Assert.Equal(id, function.Bdf.RoutingId);
            });
        }).Holds(300);

    [Fact]
    public void A_VF_BAR_decodes_one_share_for_each_VF_that_there_is() =>
        Prop.ForAll(Draws.ToArbitrary(), draw =>
        {
            Device device = Make(draw.Total, (ushort)draw.Offset, (ushort)draw.Stride, 1UL << draw.Share);
            (PciHierarchy hierarchy, _) = Behind(device);
            DecodeMap before = hierarchy.ComputeDecode(Build.OpenLimits, DecodeMap.Empty);
            Set(device, draw);
            DecodeMap map = hierarchy.ComputeDecode(Build.OpenLimits, before);
            DecodeMap? quick = hierarchy.UpdateDecode(Build.OpenLimits, before, device.Function);
            ulong share = Math.Max(1UL << draw.Share, (ulong)Pages[draw.Page] << 12);
            ulong start = Window + (draw.Address & ~(share - 1));
            ulong size = share * (ulong)Enabled(draw);
            bool decodes = (draw.Control & MemoryEnable) != 0 && size != 0 && start + size <= 2 * Window;
            AddressRange? expected = decodes ? Build.Range(start, size) : null;
            Assert.Equal((expected, expected), (map.Find(device.Wide), quick!.Find(device.Wide)));
            Assert.Equal(map.RefusalOf(device.Wide), quick.RefusalOf(device.Wide));
        }).Holds(300);

    // By the function's own registers: it may have no routing id that anyone reaches.
    private static void Set(Device device, Draw draw)
    {
        void Write(int register, int size, uint value) => device.Function.WriteConfig(At + register, size, value);
        Write(0x10, 2, (uint)draw.Vfs);
        Write(0x20, 4, Pages[draw.Page]);
        Write(0x24, 4, draw.Address);
        Write(0x28, 4, (uint)(Window >> 32));
        Write(8, 2, draw.Control);
        device.Function.Bus!.Hierarchy!.ConfigWrite(new Bdf(0x0010), 0x0C, 1, 0);
    }

    private static int Enabled(Draw draw) => (draw.Control & VfEnable) == 0 ? 0 : Math.Min(draw.Vfs, draw.Total);

    // On the port's own bus only device 0's functions answer, or with ARI all; on the numbers behind it whoever has them.
    private static bool Answers(Draw draw, int routingId) => (routingId >> 8) == draw.Bus
        ? draw.Ari || (routingId & 0xFF) < 8
        : routingId >> 8 <= draw.Last;
}
