using System.Text;
using Aperture.Devices.TestDevice;
using Aperture.Pci;
using Aperture.Pci.Capabilities;
using Aperture.Pci.Ports;
using Aperture.Pci.Registers;
using Aperture.TestKit.Devices;
using Aperture.TestKit.Parts.Devices;

namespace Aperture.Devices.Tests;

public class TestFunctionTests
{
    private const string Options = "id=t1,port=rp0,bar0=mem32:64K,bar2=mem64p:1G:ram,bar4=io:64,rom=16K,msi=2,msix=4";

    private readonly FakeDma _dma = new(4096);
    private readonly RecordingSink _sink = new();
    private readonly FakeLine _line = new();

    private TestFunction Make(string options = Options) =>
        new(TestSpecs.Parse(options), _ => _dma) { MsiSink = _sink, IntxLine = _line };

    [Fact]
    public void Config_space_says_what_the_spec_asked_for()
    {
        TestFunction function = Make();
        Assert.Equal(0x0001_A9E7u, function.ReadConfig(0, 4));
        Assert.Equal(0xFFu, function.ReadConfig(0xB, 1));
        Assert.Equal(1u, function.ReadConfig(0x3D, 1));
        Assert.Equal(
            [(0, BarKind.Memory32, 64UL << 10), (2, BarKind.Memory64Prefetchable, 1UL << 30), (4, BarKind.Io, 64UL), (6, BarKind.Rom, 16UL << 10)],
            function.Bars.Select(bar => (bar.Index, bar.Kind, bar.Size)));
        Assert.NotNull(function.Find<PowerManagementCapability>());
        Assert.Equal(PciePortType.Endpoint, function.Find<PciExpressCapability>()!.Type);
        Assert.Equal(PciePortType.RootComplexEndpoint, Make("id=r").Find<PciExpressCapability>()!.Type);
        Assert.Equal(2, function.Find<MsiCapability>()!.Vectors);
        Assert.Equal(4, function.Find<MsixCapability>()!.Vectors);
        Assert.Null(function.Handler(2));
    }

    [Fact]
    public void An_MSI_X_vector_set_up_through_the_BAR_reaches_the_sink_when_triggered()
    {
        TestFunction function = Make();
        IAccessHandler bar = function.Handler(0)!;
        int capability = function.Find<MsixCapability>()!.Offset;
        bar.Out32(0x8010, 0xFEE00000);
        bar.Out32(0x8018, 0x41);
        bar.Out32(0x801C, 0);
        function.WriteConfig(capability + 2, 2, 0x8000);
        bar.Out32(0x20, 1);
        Assert.Empty(_sink.Sent);
        Assert.Equal(2u, bar.In32(0xC000));
        function.WriteConfig(PciRegisters.Command, 2, (uint)(PciCommand.BusMaster | PciCommand.MemorySpace));
        bar.Out32(0x20, 1);
        Assert.Contains(new MsiMessage(new GuestAddress(0xFEE00000), 0x41), _sink.Sent);
        Assert.Equal(0u, bar.In32(0xC000));
    }

    [Fact]
    public void INTx_follows_the_trigger_and_the_acknowledge()
    {
        TestFunction function = Make();
        function.Handler(0)!.Out32(0x20, 0);
        Assert.True(_line.Level);
        function.Handler(0)!.Out32(0x24, 1);
        Assert.False(_line.Level);
    }

    [Fact]
    public void DMA_needs_bus_mastering()
    {
        TestFunction function = Make();
        IAccessHandler bar = function.Handler(0)!;
        bar.Out32(0x40, 4);
        bar.Out32(0x44, 1);
        Assert.Equal(0x302u, bar.In32(0x48));
        Assert.Equal(0, _dma.Accesses);
        function.WriteConfig(PciRegisters.Command, 2, (uint)PciCommand.BusMaster);
        bar.Out32(0x44, 1);
        Assert.Equal(1u, bar.In32(0x48));
    }

    [Fact]
    public void A_reset_of_the_function_resets_the_device()
    {
        TestFunction function = Make();
        function.Handler(0)!.Out32(0x10, 1);
        function.Handler(0)!.Out32(0x20, 0);
        function.Reset(ResetKind.Conventional);
        Assert.Equal(0u, function.Handler(0)!.In32(0x10));
        Assert.False(_line.Level);
    }

    [Fact]
    public void The_ROM_is_one_valid_image_with_the_id_in_it()
    {
        TestFunction function = Make();
        IAccessHandler rom = function.Handler(BarKinds.RomIndex)!;
        byte[] image = [.. Enumerable.Range(0, 16 << 10).Select(i => rom.In((ulong)i))];
        Assert.Equal([0x55, 0xAA], image[..2]);
        int length = image[2] * 512;
        Assert.Equal(0, image.Take(length).Sum(value => value) & 0xFF);
        int structure = image[0x18] | image[0x19] << 8;
        Assert.Equal(0, structure % 4);
        Assert.Equal("PCIR", Encoding.ASCII.GetString(image, structure, 4));
        Assert.Equal(0xA9E7, BitConverter.ToUInt16(image, structure + 4));
        Assert.Equal(0x0001, BitConverter.ToUInt16(image, structure + 6));
        Assert.Equal(0x18, BitConverter.ToUInt16(image, structure + 0xA));
        Assert.Equal([0x00, 0x00, 0xFF], image[(structure + 0xD)..(structure + 0x10)]);
        Assert.Equal(length, BitConverter.ToUInt16(image, structure + 0x10) * 512);
        Assert.Equal(0x80, image[structure + 0x15]);
        Assert.Equal("t1\0", Encoding.ASCII.GetString(image, TestRom.IdOffset, 3));
        Assert.All(image[length..], value => Assert.Equal(0xFF, value));
        rom.Out32(0, 0);
        Assert.Equal(0x55, rom.In(0));
    }

    [Fact]
    public void A_ROM_from_a_file_shows_the_file_and_the_function_the_ids_that_were_asked_for()
    {
        using TemporaryFile scratch = new([]);
        string file = scratch.Path;
        byte[] content = [0x55, 0xAA, .. Enumerable.Range(0, 2600).Select(i => (byte)(i * 7))];
        File.WriteAllBytes(file, content);
        TestFunction function = Make($"id=t1,rom={file},ids=8086:10d3");
        Assert.Equal(4u << 10, function.Spec.RomSize);
        IAccessHandler rom = function.Handler(BarKinds.RomIndex)!;
        Assert.Equal(content, Enumerable.Range(0, content.Length).Select(i => (byte)rom.In((ulong)i)));
        Assert.All(Enumerable.Range(content.Length, 4096 - content.Length), i => Assert.Equal(0xFFu, rom.In((ulong)i)));
        Assert.Equal((0x8086, 0x10D3), (function.Identity.Vendor, function.Identity.Device));

        File.WriteAllText(file, "no ROM");
        Assert.Throws<ApertureException>(() => Make($"id=t1,rom={file}"));
    }

    private sealed class RecordingSink : IMsiSink
    {
        public List<MsiMessage> Sent { get; } = [];

        public void Send(Bdf requester, MsiMessage message) => Sent.Add(message);
    }
}
