using System.Buffers.Binary;
using Aperture.Assignment;

namespace Aperture.TestKit.Parts.Assigned;

/// <summary>Hand-made configuration spaces, laid out as real devices lay theirs out.</summary>
public sealed class SampleConfig
{
    private SampleConfig(int size) => Bytes = new byte[size];

    public byte[] Bytes { get; }

    public static SampleConfig Header(ushort vendor, ushort device, uint classCode, int size = 4096, byte pin = 1)
    {
        SampleConfig config = new(size);
        config.Put16(0x00, vendor).Put16(0x02, device).Put32(0x08, classCode << 8 | 1).Put16(0x2C, 0x1AF4).Put16(0x2E, 0x1100);
        config.Bytes[0x3D] = pin;
        return config;
    }

    public SampleConfig Put8(int offset, int value)
    {
        Bytes[offset] = (byte)value;
        return this;
    }

    public SampleConfig Put16(int offset, int value)
    {
        BinaryPrimitives.WriteUInt16LittleEndian(Bytes.AsSpan(offset), (ushort)value);
        return this;
    }

    public SampleConfig Put32(int offset, uint value)
    {
        BinaryPrimitives.WriteUInt32LittleEndian(Bytes.AsSpan(offset), value);
        return this;
    }

    /// <summary>Chains standard capabilities in the order given.</summary>
    public SampleConfig Chain(params (int Offset, int Id)[] capabilities)
    {
        Put16(0x06, 0x10).Put8(0x34, capabilities[0].Offset);
        for (int i = 0; i < capabilities.Length; i++)
        {
            Put8(capabilities[i].Offset, capabilities[i].Id);
            Put8(capabilities[i].Offset + 1, i + 1 < capabilities.Length ? capabilities[i + 1].Offset : 0);
        }

        return this;
    }

    /// <summary>Chains extended capabilities in the order given, all of version 1.</summary>
    public SampleConfig ChainExtended(params (int Offset, int Id)[] capabilities)
    {
        for (int i = 0; i < capabilities.Length; i++)
        {
            int next = i + 1 < capabilities.Length ? capabilities[i + 1].Offset : 0;
            Put32(capabilities[i].Offset, (uint)capabilities[i].Id | 1u << 16 | (uint)next << 20);
        }

        return this;
    }

    /// <summary>
    /// An NVMe controller: one 64-bit BAR of 16 KiB with the MSI-X table at 0x2000 and the PBA at 0x3000, FLR, AER, serial number, ARI, SR-IOV.
    /// </summary>
    public static FakeDevice Nvme(int vectors = 8, bool canGrow = false, bool msixMappable = true)
    {
        SampleConfig config = Header(0x144D, 0xA808, 0x010802)
            .Put32(0x10, 0x4)
            .Chain((0x40, 0x01), (0x50, 0x05), (0x70, 0x10), (0xB0, 0x11), (0xC0, 0x09))
            .Put16(0x42, 3).Put16(0x44, 8)
            .Put16(0x52, 0x0086)
            .Put16(0x72, 0x0002).Put32(0x74, 0x10008FC2).Put16(0x78, 0x2810).Put32(0x7C, 0x00437443).Put16(0x82, 0x1043).Put32(0x94, 0x001F).Put32(0x9C, 0x0E)
            .Put16(0xB2, vectors - 1).Put32(0xB4, 0x2000).Put32(0xB8, 0x3000)
            .Put8(0xC2, 0x10).Put32(0xC4, 0x11223344)
            .ChainExtended((0x100, 0x0001), (0x148, 0x0003), (0x158, 0x000E), (0x168, 0x0010), (0x1B0, 0x0018))
            .Put32(0x14C, 0xAABBCCDD);
        return FakeDevice.With(config.Bytes, Intx, new VfioIrq(VfioIrqIndex.Msi, 8, true, false, false),
            new VfioIrq(VfioIrqIndex.Msix, vectors, false, false, canGrow), Error, Request)
            .AddRegion(0, 0x4000, msixMappable: msixMappable);
    }

    /// <summary>A network controller: two memory BARs, 32 I/O ports, an MSI-X BAR of its own (BAR 3), a ROM.</summary>
    public static FakeDevice Network()
    {
        SampleConfig config = Header(0x8086, 0x10D3, 0x020000)
            .Put32(0x18, 1)
            .Chain((0xC8, 0x01), (0xD0, 0x05), (0xE0, 0x10), (0xA0, 0x11))
            .Put16(0xCA, 2).Put16(0xD2, 0x0080)
            .Put16(0xE2, 0x0001).Put32(0xE4, 0x8CC1).Put32(0xEC, 0x00033811).Put16(0xF2, 0x1011)
            .Put16(0xA2, 4).Put32(0xA4, 3).Put32(0xA8, 0x2003)
            .ChainExtended((0x100, 0x0001), (0x140, 0x0003));
        FakeDevice device = FakeDevice.With(
            config.Bytes, Intx, new VfioIrq(VfioIrqIndex.Msi, 1, true, false, false), new VfioIrq(VfioIrqIndex.Msix, 5, false, false, true))
            .AddRegion(0, 0x20000).AddRegion(1, 0x20000).AddRegion(2, 0x20, mappable: false).AddRegion(3, 0x4000)
            .AddRegion(VfioRegionIndex.Rom, 0x40000, mappable: false);
        device.Contents[VfioRegionIndex.Rom][0] = 0x55;
        device.Contents[VfioRegionIndex.Rom][1] = 0xAA;
        device.Contents[VfioRegionIndex.Rom][0x3_FFFF] = 0x77;
        return device;
    }

    /// <summary>A conventional teaching device: one memory BAR, MSI with one vector, INTx.</summary>
    public static FakeDevice Teaching(int msiVectors = 1, bool maskable = false)
    {
        SampleConfig config = Header(0x1234, 0x11E8, 0x00FF00, 256)
            .Chain((0x40, 0x05))
            .Put16(0x42, 0x0080 | int.Log2(msiVectors) << 1 | (maskable ? 0x100 : 0));
        return FakeDevice.With(config.Bytes, Intx, new VfioIrq(VfioIrqIndex.Msi, msiVectors, true, false, false)).AddRegion(0, 0x10_0000);
    }

    public static VfioIrq Intx { get; } = new(VfioIrqIndex.Intx, 1, true, true, false);

    public static VfioIrq Error { get; } = new(VfioIrqIndex.Error, 1, false, false, false);

    public static VfioIrq Request { get; } = new(VfioIrqIndex.Request, 1, false, false, false);
}
