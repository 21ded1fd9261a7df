using System.Runtime.InteropServices;
using Aperture.Linux.Vfio;
using FsCheck;
using FsCheck.Fluent;

namespace Aperture.Linux.Tests;

public class VfioRepliesTests
{
    private static readonly Gen<byte[]> Bytes = Gen.Choose(0, 160).SelectMany(length => Gen.Choose(0, 255).Select(number => (byte)number).ArrayOf(length));

    [Fact]
    public void A_regions_capabilities_are_read_in_whatever_order_they_come()
    {
        byte[] sparse = Sparse((0x1000, 0x2000), (0x8000, 0x1000));
        byte[] msix = Capability(3, []);
        foreach (byte[][] order in new byte[][][] { [sparse, msix], [msix, sparse] })
        {
            VfioRegionReply reply = VfioReplies.Region(Region(0xF, 0x10000, 0x7000, order));
            Assert.Equal(VfioRegionFlags.Read | VfioRegionFlags.Write | VfioRegionFlags.Map | VfioRegionFlags.Capabilities, reply.Flags);
            Assert.Equal((0x10000UL, 0x7000UL), (reply.Length, reply.Offset));
            Assert.Equal([new VfioSparseArea(0x1000, 0x2000), new VfioSparseArea(0x8000, 0x1000)], reply.Sparse!);
            Assert.True(reply.MsixMappable);
        }
    }

    [Fact]
    public void Capabilities_are_not_looked_for_without_the_flag()
    {
        VfioRegionReply reply = VfioReplies.Region(Region(7, 0x10000, 0, [Sparse((0, 0x1000)), Capability(3, [])]));
        Assert.Null(reply.Sparse);
        Assert.False(reply.MsixMappable);
    }

    [Fact]
    public void A_chain_that_turns_back_ends()
    {
        byte[] reply = Region(0xF, 0x10000, 0, [Capability(3, []), Capability(9, [])]);

        // The second capability points at the first, then at itself.
        foreach (uint next in new uint[] { 32, 40, 0xFFFF_FFFF })
        {
            MemoryMarshal.Write(reply.AsSpan(44), next);
            Assert.True(VfioReplies.Region(reply).MsixMappable);
        }
    }

    [Fact]
    public void A_count_larger_than_the_reply_is_cut_to_what_is_there()
    {
        byte[] reply = Region(0xF, 0x10000, 0, [Sparse((0, 0x1000), (0x2000, 0x1000))]);
        MemoryMarshal.Write(reply.AsSpan(40), 0xFFFF_FFFF);
        Assert.Equal(2, VfioReplies.Region(reply).Sparse!.Count);
        Assert.Single(VfioReplies.Region(reply.AsSpan(0, reply.Length - 1)).Sparse!);
    }

    [Fact]
    public void The_IOMMU_says_ranges_page_sizes_and_mappings_left()
    {
        byte[] ranges = Capability(1, [.. Words(2U, 0U), .. Longs(0, 0xFEDF_FFFF, 0xFEF0_0000, 0x7F_FFFF_FFFF)]);
        VfioIommuReply reply = VfioReplies.Iommu(Iommu(3, 0x4020_1000, [Capability(2, [.. Longs(1, 2, 3)]), ranges, Capability(3, [.. Words(65535U, 0U)])]));
        Assert.Equal(0x4020_1000UL, reply.PageSizes);
        Assert.Equal([new IovaRange(0, 0xFEDF_FFFF), new IovaRange(0xFEF0_0000, 0x7F_FFFF_FFFF)], reply.Ranges!);
        Assert.Equal(65535U, reply.MappingsLeft);
    }

    [Fact]
    public void An_old_kernels_IOMMU_reply_of_16_bytes_says_page_sizes_only()
    {
        VfioIommuReply reply = VfioReplies.Iommu(Iommu(1, 0x1000, []).AsSpan(0, 16));
        Assert.Equal(new VfioIommuReply(0x1000, null, null), reply);
    }

    [Fact]
    public void Any_bytes_are_read_without_harm_and_say_no_more_than_they_hold()
    {
        Prop.ForAll(Bytes.ToArbitrary(), bytes =>
        {
            VfioRegionReply region = VfioReplies.Region(bytes);
            VfioIommuReply iommu = VfioReplies.Iommu(bytes);
            Assert.True((region.Sparse?.Count ?? 0) * 16 <= bytes.Length);
            Assert.True((iommu.Ranges?.Count ?? 0) * 16 <= bytes.Length);
            Assert.True(VfioReplies.HotReset(bytes).Count * 8 <= bytes.Length);
        }).Holds();
    }

    // Valid chains with one word overwritten and the end cut off: what a lying kernel says.
    [Fact]
    public void Damaged_chains_are_read_without_harm()
    {
        byte[] region = Region(0xF, 0x10000, 0, [Sparse((0, 0x1000), (0x2000, 0x3000)), Capability(3, []), Sparse((0, 1))]);
        byte[] iommu = Iommu(3, 0x1000, [Capability(1, [.. Words(1U, 0U), .. Longs(0, 0xFFFF)]), Capability(3, [.. Words(9U, 0U)])]);
        Gen<(int At, int Value, int Length)> damage =
            from at in Gen.Choose(0, 20)
            from value in Gen.OneOf(Gen.Choose(0, 140), Gen.Constant(-1), Gen.Constant(int.MaxValue), Gen.Constant(int.MinValue))
            from length in Gen.Choose(0, 140)
            select (at, value, length);
        Prop.ForAll(damage.ToArbitrary(), hurt =>
        {
            foreach (byte[] reply in new[] { region, iommu })
            {
                byte[] copy = [.. reply];
                MemoryMarshal.Write(copy.AsSpan(Math.Min(hurt.At * 4, copy.Length - 4)), hurt.Value);
                ReadOnlySpan<byte> cut = copy.AsSpan(0, Math.Min(hurt.Length, copy.Length));
                Assert.True((VfioReplies.Region(cut).Sparse?.Count ?? 0) * 16 <= cut.Length);
                Assert.True((VfioReplies.Iommu(cut).Ranges?.Count ?? 0) * 16 <= cut.Length);
            }
        }).Holds();
    }

    [Fact]
    public void The_functions_of_a_hot_reset_are_read_as_group_segment_bus_and_function()
    {
        byte[] reply = [.. Words(28U, 0U, 2U), .. Words(7U, 0x0801_0001U), .. Words(7U, 0x0901_0000U)];
        IReadOnlyList<VfioDependentDevice> functions = VfioReplies.HotReset(reply);
        Assert.Equal(
            [(7U, 1, 1, 8), (7U, 0, 1, 9)],
            functions.Select(function => (function.Group, (int)function.Segment, (int)function.Bus, (int)function.DeviceFunction)));
        Assert.Single(VfioReplies.HotReset(reply.AsSpan(0, 27)));
    }

    private static byte[] Region(uint flags, ulong length, ulong offset, byte[][] capabilities) =>
        Chain([.. Words(0U, flags, 2U, 32U), .. Longs(length, offset)], capabilities);

    private static byte[] Iommu(uint flags, ulong pages, byte[][] capabilities) =>
        Chain([.. Words(0U, flags), .. Longs(pages), .. Words(24U, 0U)], capabilities);

    private static byte[] Sparse(params (ulong Offset, ulong Length)[] areas) =>
        Capability(1, [.. Words((uint)areas.Length, 0U), .. Longs([.. areas.SelectMany(area => new[] { area.Offset, area.Length })])]);

    // id and version, next (filled in by Chain), body.
    private static byte[] Capability(ushort id, byte[] body) => [.. Words(id | 1U << 16, 0U), .. body];

    private static byte[] Chain(byte[] header, byte[][] capabilities)
    {
        List<byte> bytes = [.. header];
        for (int i = 0; i < capabilities.Length; i++)
        {
            byte[] capability = [.. capabilities[i]];
            uint next = i == capabilities.Length - 1 ? 0 : (uint)(bytes.Count + capability.Length);
            MemoryMarshal.Write(capability.AsSpan(4), next);
            bytes.AddRange(capability);
        }

        byte[] reply = [.. bytes];
        MemoryMarshal.Write(reply, (uint)reply.Length);
        return reply;
    }

    private static byte[] Words(params uint[] words) => MemoryMarshal.AsBytes(words.AsSpan()).ToArray();

    private static byte[] Longs(params ulong[] longs) => MemoryMarshal.AsBytes(longs.AsSpan()).ToArray();
}
