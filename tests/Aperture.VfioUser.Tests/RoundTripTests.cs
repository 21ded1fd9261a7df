using Aperture.Assignment;
using Aperture.VfioUser.Protocol;
using FsCheck;
using FsCheck.Fluent;

namespace Aperture.VfioUser.Tests;

/// <summary>What is written is what is read, for every message and every value of its fields; what is too short is none.</summary>
public class RoundTripTests
{
    private delegate void Writer(Span<byte> bytes);

    // Edges as well as anything.
    private static Gen<ulong> U64 { get; } = Gen.OneOf(
        Gen.Elements(0UL, 1UL, 0xFFFUL, 0x1000UL, 0xFFFF_FFFFUL, 1UL << 32, ulong.MaxValue >> 1, ulong.MaxValue), ArbMap.Default.GeneratorFor<ulong>());

    private static Gen<uint> U32 { get; } = U64.Select(static v => (uint)v);

    private static Gen<ushort> U16 { get; } = U64.Select(static v => (ushort)v);

    [Fact]
    public void Headers() => Prop.ForAll(
        (from id in U16
         from command in U16
         from size in U32
         from flags in U32
         from errno in U32
         select new MessageHeader(id, (VfioUserCommand)command, size, (MessageFlags)flags, errno)).ToArbitrary(),
        header =>
        {
            byte[] bytes = new byte[MessageHeader.Length];
            header.Write(bytes);
            return MessageHeader.Read(bytes) == header;
        }).Holds();

    [Fact]
    public void Messages_of_memory() => Prop.ForAll(
        (from a in U32 from b in U32 from c in U64 from d in U64 from e in U64 select (a, b, c, d, e)).ToArbitrary(),
        v =>
        {
            DmaMapRequest map = new(Math.Max(v.a, 32), (DmaMapFlags)v.b, v.c, new GuestAddress(v.d), v.e);
            DmaUnmapMessage unmap = new(Math.Max(v.a, 24), v.b, new GuestAddress(v.c), v.d);
            DmaAccess access = new(new GuestAddress(v.c), v.d);
            return Same(DmaMapRequest.Length, map.Write, bytes => DmaMapRequest.TryRead(bytes, out DmaMapRequest read) && read == map)
                && Same(DmaUnmapMessage.Length, unmap.Write, bytes => DmaUnmapMessage.TryRead(bytes, out DmaUnmapMessage read) && read == unmap)
                && Same(DmaAccess.Length, access.Write, bytes => DmaAccess.TryRead(bytes, out DmaAccess read) && read == access);
        }).Holds();

    [Fact]
    public void Messages_of_the_device() => Prop.ForAll(
        (from a in U32 from b in U32 from c in U32 from d in U32 from e in U64 from f in U64 select (a, b, c, d, e, f)).ToArbitrary(),
        v =>
        {
            DeviceInfo device = new(Math.Max(v.a, 16), (DeviceFlags)v.b, v.c, v.d);
            RegionInfo region = new(Math.Max(v.a, 32), (RegionFlags)v.b, v.c, v.d, v.e, v.f);
            RegionIoInfo io = new(Math.Max(v.a, 16), v.b, v.c, v.d);
            RegionIoEntry entry = new(v.e, v.f, v.a, (RegionIoType)v.b, v.c, v.e);
            IrqInfo irq = new(Math.Max(v.a, 16), (IrqFlags)v.b, v.c, v.d);
            RegionAccess access = new(v.e, v.a, v.b);
            DeviceFeature feature = new(Math.Max(v.a, 8), (FeatureFlags)v.b);
            MigrationData data = new(v.a, v.b);
            return Same(DeviceInfo.Length, device.Write, bytes => DeviceInfo.TryRead(bytes, out DeviceInfo read) && read == device)
                && Same(RegionInfo.Length, region.Write, bytes => RegionInfo.TryRead(bytes, out RegionInfo read) && read == region)
                && Same(RegionIoInfo.Length, io.Write, bytes => RegionIoInfo.TryRead(bytes, out RegionIoInfo read) && read == io)
                && Same(RegionIoEntry.Length, entry.Write, bytes => bytes.Length == RegionIoEntry.Length && RegionIoEntry.Read(bytes) == entry)
                && Same(IrqInfo.Length, irq.Write, bytes => IrqInfo.TryRead(bytes, out IrqInfo read) && read == irq)
                && Same(RegionAccess.Length, access.Write, bytes => RegionAccess.TryRead(bytes, out RegionAccess read) && read == access)
                && Same(DeviceFeature.Length, feature.Write, bytes => DeviceFeature.TryRead(bytes, out DeviceFeature read) && read == feature)
                && Same(MigrationData.Length, data.Write, bytes => MigrationData.TryRead(bytes, out MigrationData read) && read == data);
        }).Holds();

    [Fact]
    public void Interrupt_requests() => Prop.ForAll(
        (from size in U32
         from data in Gen.Elements(SetIrqsFlags.DataNone, SetIrqsFlags.DataEventFd)
         from action in Gen.Elements(SetIrqsFlags.Mask, SetIrqsFlags.Unmask, SetIrqsFlags.Trigger)
         from index in U32
         from start in U32
         from count in U32
         select new SetIrqsRequest(Math.Max(size, 20), data | action, index, start, count)).ToArbitrary(),
        request => Same(
            SetIrqsRequest.Length, request.Write, bytes => SetIrqsRequest.TryRead(bytes, out SetIrqsRequest read) && read == request)).Holds();

    [Fact]
    public void Areas() => Prop.ForAll(
        (from offset in U64 from size in U64 select new VfioArea(offset, size)).ListOf().ToArbitrary(),
        areas =>
        {
            byte[] payload = new byte[RegionInfo.LengthWith(areas.Count)];
            RegionInfo info = new((uint)payload.Length, RegionFlags.Map | RegionFlags.Capabilities, 0, RegionInfo.Length, 0, 0);
            info.Write(payload);
            RegionInfo.WriteAreas(payload, [.. areas]);
            return info.ReadCapabilities(payload, out bool msix)!.SequenceEqual(areas) && !msix;
        }).Holds();

    [Fact]
    public void Faulting_areas() => Prop.ForAll(
        (from offset in U64 from size in U64 select new VfioArea(offset, size)).ListOf().ToArbitrary(),
        areas =>
        {
            byte[] payload = new byte[RegionInfo.Length + FaultAreas.LengthOf(areas.Count)];
            RegionInfo info = new((uint)payload.Length, RegionFlags.Capabilities, 0, RegionInfo.Length, 0, 0);
            info.Write(payload);
            FaultAreas.Write(payload, RegionInfo.Length, [.. areas]);
            return FaultAreas.Read(info, payload).SequenceEqual(areas);
        }).Holds();

    [Fact]
    public void A_chain_of_capabilities_that_leads_anywhere_ends() => Prop.ForAll(
        U32.ToArbitrary(), U32.ToArbitrary(), ArbMap.Default.GeneratorFor<byte>().ArrayOf().ToArbitrary(),
        (first, next, noise) =>
        {
            // Two capabilities of ids that mean nothing, whose links lead anywhere.
            byte[] payload = [.. new byte[RegionInfo.Length], 9, 0, 1, 0, .. BitConverter.GetBytes(next), .. noise];
            RegionInfo info = new((uint)payload.Length, RegionFlags.Capabilities, 0, first % 3 == 0 ? first : RegionInfo.Length, 0, 0);
            return FaultAreas.Read(info, payload).Count <= noise.Length / 16 && (info.ReadCapabilities(payload, out _)?.Count ?? 0) <= noise.Length / 16;
        }).Holds();

    [Fact]
    public void Versions() => Prop.ForAll(
        (from minor in U16
         from numbers in Maybe(U32).ArrayOf(3)
         from pages in Maybe(U64)
         from multiple in Maybe(Gen.Elements(true, false))
         from supported in Maybe(Gen.Elements(true, false))
         from index in Maybe(U32)
         select new VersionMessage(0, minor, new VersionCapabilities
         {
             MaxDescriptors = numbers[0],
             MaxTransfer = numbers[1],
             MaxDmaMaps = numbers[2],
             PageSizes = pages,
             WriteMultiple = multiple,
             TwinSocket = supported is { } twin ? new TwinSocketCapability(twin, index) : null,
         })).ToArbitrary(),
        version =>
        {
            byte[] bytes = version.ToBytes();
            return bytes[^1] == 0 && VersionMessage.TryRead(bytes, out VersionMessage read) && read == version
                && Enumerable.Range(0, bytes.Length).All(cut => cut == VersionMessage.FixedLength || !VersionMessage.TryRead(bytes.AsSpan(0, cut), out _));
        }).Holds();

    private static Gen<T?> Maybe<T>(Gen<T> gen)
        where T : struct => Gen.Frequency((1, Gen.Constant((T?)null)), (3, gen.Select(static v => (T?)v)));

    // Written and read whole; one byte less is none.
    private static bool Same(int length, Writer write, Predicate<byte[]> reads)
    {
        byte[] bytes = new byte[length];
        write(bytes);
        return reads(bytes) && !reads(bytes[..^1]);
    }
}
