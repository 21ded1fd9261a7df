using Aperture.Configuration.Kinds;
using Aperture.Pci;
using Aperture.Placement.Request;

namespace Aperture.Configuration.Tests;

public class TestKindTests
{
    private static TestSpec Parse(string text) => Assert.IsType<TestSpec>(ConfigReader.ReadDevice("test," + text));

    [Fact]
    public void A_ROM_behind_a_link_has_the_size_of_its_file()
    {
        using TemporaryFolder folder = new();
        string rom = folder.In("own.rom");
        File.WriteAllBytes(rom, new byte[40_000]);
        string link = folder.Link("link.rom", "own.rom");
        Assert.Equal((link, 65536u), (Parse($"id=t,rom={link}").RomFile, Parse($"id=t,rom={link}").RomSize));
        File.Delete(rom);
        Assert.Contains("no such file", Assert.Throws<ApertureException>(() => Parse($"id=t,rom={link}")).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void The_full_spelling_gives_every_part()
    {
        TestSpec spec = Parse("id=t1,addr=01.0,bar2=mem64p:64G:ram,bar0=mem32:1M:trap,bar4=io:256,rom=64K,port=rp0,msi=4,msix=16");
        Assert.Equal("t1", spec.Id);
        Assert.Equal((byte)0x08, spec.DeviceFunction);
        Assert.Equal("rp0", spec.Port);
        Assert.Equal(64u << 10, spec.RomSize);
        Assert.Equal((4, 16), (spec.MsiVectors, spec.MsixVectors));
        Assert.Equal(
            [
                new TestBar(0, BarKind.Memory32, 1 << 20, false),
                new TestBar(2, BarKind.Memory64Prefetchable, 64UL << 30, true),
                new TestBar(4, BarKind.Io, 256, false),
            ],
            spec.Registers);
    }

    [Fact]
    public void VFs_and_their_BARs_are_demanded_beside_the_devices_own()
    {
        TestSpec spec = Parse("id=nic,vf-bar2=mem64p:16K,bar0=mem32:1M,rom=2K,vfs=8,vf-bar0=mem32:512,vf-offset=128,vf-stride=2,bars=vf-bar2@0x100000000000");
        Assert.Equal(new SriovDemand(8) { FirstOffset = 128, Stride = 2 }, spec.Sriov);
        Assert.Equal(
            [
                new BarDemand(0, BarKind.Memory32, 1 << 20),
                new BarDemand(BarKinds.RomIndex, BarKind.Rom, 2048),
                new BarDemand(BarIndex.Vf0, BarKind.Memory32, 512),
                new BarDemand(BarIndex.Vf0 + 2, BarKind.Memory64Prefetchable, 16 << 10, new GuestAddress(0x1000_0000_0000)),
            ],
            spec.Demands);
        Assert.Null(Parse("id=x").Sriov);
        Assert.Contains(
            "has no vf-bar1 to pin", Assert.Throws<ApertureException>(() => Parse("id=x,vfs=1,bars=vf-bar1@0x1000")).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Only_the_id_is_needed_and_a_BAR_is_trapped_by_default()
    {
        TestSpec spec = Parse("id=x");
        Assert.Null(spec.DeviceFunction);
        Assert.Null(spec.Port);
        Assert.False(Parse("id=x,bar1=mem64:4K").Registers[0].IsRam);
    }

    [Theory]
    [InlineData("bar0=mem32:1M", "id")]
    [InlineData("id=", "id")]
    [InlineData("id=a b", "id")]
    [InlineData("id=x,id=y", "twice")]
    [InlineData("id=x,addr=20.0", "1f.7")]
    [InlineData("id=x,addr=1.8", "1f.7")]
    [InlineData("id=x,port=", "port")]
    [InlineData("id=x,bar6=mem32:1M", "bar0 to bar5")]
    [InlineData("id=x,colour=red", "options are")]
    [InlineData("id=x,bar0=mem32", "KIND:SIZE")]
    [InlineData("id=x,bar0=mem16:1M", "mem32p")]
    [InlineData("id=x,bar0=rom:1M", "mem32p")]
    [InlineData("id=x,bar0=mem32:1M:trap:more", "KIND:SIZE")]
    [InlineData("id=x,bar0=mem32:1M:disk", "trap or ram")]
    [InlineData("id=x,bar0=mem32:3M", "power of two from 16 to 2G")]
    [InlineData("id=x,bar0=mem32:8", "power of two from 16 to 2G")]
    [InlineData("id=x,bar0=mem32:4G", "power of two from 16 to 2G")]
    [InlineData("id=x,bar0=mem32:0", "power of two from 16 to 2G")]
    [InlineData("id=x,bar0=mem64:2K:ram", "power of two from 4K to 4194304T")]
    [InlineData("id=x,bar0=io:512", "power of two from 4 to 256")]
    [InlineData("id=x,bar0=io:2", "power of two from 4 to 256")]
    [InlineData("id=x,bar0=io:256:ram", "I/O")]
    [InlineData("id=x,bar5=mem64:1M", "bar0 to bar4")]
    [InlineData("id=x,bar1=io:16,bar0=mem64:1M", "upper half of the 64-bit bar0")]
    [InlineData("id=x,rom=1K", "2K to 16M")]
    [InlineData("id=x,rom=3K", "2K to 16M")]
    [InlineData("id=x,rom=no-such-file.rom", "no such file")]
    [InlineData("id=x,rom=", "2K to 16M")]
    [InlineData("id=x,ids=8086", "VENDOR:DEVICE")]
    [InlineData("id=x,ids=8086:10d3:1", "VENDOR:DEVICE")]
    [InlineData("id=x,ids=18086:10d3", "VENDOR:DEVICE")]
    [InlineData("id=x,ids=ffff:0001", "not ffff")]
    [InlineData("id=x,msi=3", "power of two from 1 to 32")]
    [InlineData("id=x,msi=0", "power of two from 1 to 32")]
    [InlineData("id=x,bar0=mem32:1M,msix=2049", "1 to 2048")]
    [InlineData("id=x,bar0=mem32:1M:ram,msix=1", "8K")]
    [InlineData("id=x,bar0=io:256,msix=1", "8K")]
    [InlineData("id=x,bar0=mem32:8K,msix=129", "16K")]
    [InlineData("id=x,vfs=0", "from 1 to 256")]
    [InlineData("id=x,vfs=257", "from 1 to 256")]
    [InlineData("id=x,vfs=2,vf-offset=0", "from 1 to 65535")]
    [InlineData("id=x,vfs=2,vf-stride=65536", "from 1 to 65535")]
    [InlineData("id=x,vf-bar0=mem32:4K", "add vfs=N")]
    [InlineData("id=x,vf-stride=2", "add vfs=N")]
    [InlineData("id=x,vfs=2,vf-bar0=io:16", "mem32, mem32p, mem64 or mem64p")]
    [InlineData("id=x,vfs=2,vf-bar0=mem32:4K:ram", "every access to it exits")]
    [InlineData("id=x,vfs=2,vf-bar0=mem32:3K", "power of two from 16 to 2G")]
    [InlineData("id=x,vfs=2,vf-bar5=mem64:4K", "vf-bar0 to vf-bar4")]
    [InlineData("id=x,vfs=2,vf-bar1=mem32:4K,vf-bar0=mem64:4K", "vf-bar1 is the upper half of the 64-bit vf-bar0")]
    [InlineData("id=x,vfs=256,vf-bar0=mem64:1048576T", "4194304T in all")]
    public void What_is_not_legal_is_refused_in_one_sentence_that_says_what_is(string text, string says)
    {
        string error = Assert.Throws<ApertureException>(() => Parse(text)).Message.TrimEnd('.');
        Assert.StartsWith("test device", error, StringComparison.Ordinal);
        Assert.Contains(says, error, StringComparison.Ordinal);
        Assert.DoesNotContain(". ", error, StringComparison.Ordinal);
        Assert.DoesNotContain('\n', error);
        if (text.StartsWith("id=x", StringComparison.Ordinal))
        {
            Assert.StartsWith("test device x: ", error, StringComparison.Ordinal);
        }
    }
}
