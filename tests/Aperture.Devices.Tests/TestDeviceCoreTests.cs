using Aperture.Devices.TestDevice;
using Aperture.Devices.Tests.Fakes;
using Aperture.TestKit.Devices;
using Aperture.TestKit.Parts.Devices;

namespace Aperture.Devices.Tests;

public class TestDeviceCoreTests
{
    private readonly FakeTestInterrupts _interrupts = new();
    private readonly FakeDma _dma = new(64 << 10);

    private TestDeviceCore Make(string options = "id=t1,bar0=mem32:1M,bar2=mem64:64G,bar4=io:256,msi=4,msix=8") =>
        new(TestSpecs.Parse(options), _dma, _interrupts);

    private IAccessHandler Registers() => Make().Handler(0)!;

    [Fact]
    public void The_identification_block_names_the_device()
    {
        IAccessHandler bar = Registers();
        Assert.Equal(AccessResult.Ok, bar.Read(0, 4, out ulong magic));
        Assert.Equal("APTR"u8.ToArray(), BitConverter.GetBytes((uint)magic));
        Assert.Equal(1u, bar.In32(4));
        Assert.Equal(TestRegisters.InstanceOf("t1"), bar.In32(8));
        Assert.Equal(0x0008_0400u, bar.In32(0xC));
        bar.Out32(0, 0);
        Assert.Equal(TestRegisters.Magic, bar.In32(0));
    }

    [Fact]
    public void The_instance_is_the_known_FNV_1a_value() => Assert.Equal(0xE40C292Cu, TestRegisters.InstanceOf("a"));

    [Fact]
    public void Scratch_takes_accesses_of_every_size_and_alignment()
    {
        IAccessHandler bar = Registers();
        Assert.Equal(AccessResult.Ok, bar.Write(0x10, 8, 0x8877665544332211));
        Assert.Equal(AccessResult.Ok, bar.Write(0x13, 2, 0xBBAA));
        Assert.Equal(AccessResult.Ok, bar.Read(0x10, 8, out ulong value));
        Assert.Equal(0x887766BBAA332211, value);
        Assert.Equal(AccessResult.Ok, bar.Read(0x11, 4, out value));
        Assert.Equal(0xBBAA3322u, value >> 0 & 0xFFFFFFFF);
        Assert.Equal(0u, bar.In32(0x18));
    }

    [Fact]
    public void A_small_BAR_has_the_registers_that_fit()
    {
        TestDeviceCore core = Make("id=t1,bar0=io:4");
        Assert.Equal(TestRegisters.Magic, core.Handler(0)!.In32(0));
        Assert.Equal(AccessResult.Unclaimed, core.Handler(0)!.Read(4, 4, out _));
        Assert.Equal(AccessResult.Ok, core.Handler(0)!.Read(2, 4, out ulong value));
        Assert.Equal(0xFFFF5254u, value);
    }

    [Fact]
    public void Only_trapped_BARs_have_handlers()
    {
        TestDeviceCore core = Make("id=t1,bar0=mem32:4K:ram,bar1=mem32:4K");
        Assert.Null(core.Handler(0));
        Assert.NotNull(core.Handler(1));
        Assert.Null(core.Handler(2));
        Assert.Null(core.Handler(-1));
        Assert.Null(core.Handler(6));
    }

    [Fact]
    public void The_trigger_fires_MSI_X_before_MSI_before_INTx()
    {
        IAccessHandler bar = Registers();
        _interrupts.MsiEnabled = true;
        _interrupts.MsixEnabled = true;
        bar.Out32(0x20, 7);
        _interrupts.MsixEnabled = false;
        bar.Out32(0x20, 3);
        Assert.Equal([("msix", 7), ("msi", 3)], _interrupts.Fired);
        Assert.False(_interrupts.Intx);
        _interrupts.MsiEnabled = false;
        bar.Out32(0x20, 0);
        Assert.True(_interrupts.Intx);
        Assert.Equal(3u, bar.In32(0x28));
    }

    [Fact]
    public void A_vector_that_does_not_exist_only_sets_a_status_bit()
    {
        IAccessHandler bar = Registers();
        _interrupts.MsixEnabled = true;
        bar.Out32(0x20, 8);
        bar.Out32(0x20, uint.MaxValue);
        _interrupts.MsixEnabled = false;
        _interrupts.MsiEnabled = true;
        bar.Out32(0x20, 4);
        Assert.Empty(_interrupts.Fired);
        Assert.Equal(2u, bar.In32(0x24));
        bar.Out32(0x24, 2);
        Assert.Equal(0u, bar.In32(0x24));
        Assert.Equal(0u, bar.In32(0x28));
    }

    [Fact]
    public void INTx_stays_until_it_is_acknowledged()
    {
        IAccessHandler bar = Registers();
        bar.Out32(0x20, 0);
        bar.Out32(0x24, 2);
        Assert.True(_interrupts.Intx);
        Assert.Equal(1u, bar.In32(0x24));
        bar.Out32(0x24, 1);
        Assert.False(_interrupts.Intx);
    }

    [Fact]
    public void A_byte_write_beside_the_triggers_low_byte_fires_nothing()
    {
        IAccessHandler bar = Registers();
        bar.Out(0x21, 1);
        Assert.False(_interrupts.Intx);
        bar.Out(0x20, 1);
        Assert.True(_interrupts.Intx);
    }

    [Fact]
    public void Every_access_to_a_trapped_BAR_is_counted_once()
    {
        TestDeviceCore core = Make();
        core.Handler(0)!.Read(0, 8, out _);
        core.Handler(2)!.Write(4, 4, 1);
        core.Handler(4)!.Read(0, 1, out _);
        Assert.Equal(3, core.AccessCount);
        Assert.Equal(4u, core.Handler(0)!.In32(0x2C));
    }

    [Fact]
    public void A_BAR_without_registers_tells_every_word_apart_and_keeps_sixteen_words()
    {
        TestDeviceCore core = Make();
        IAccessHandler bar = core.Handler(2)!;
        HashSet<uint> seen = [];
        for (ulong offset = 0; offset < 4096; offset += 4)
        {
            Assert.True(seen.Add(bar.In32(offset)));
            Assert.NotEqual(bar.In32(offset), bar.In32(offset + (32UL << 30)));
        }

        uint before = bar.In32(0x104);
        bar.Out32((63UL << 30) + 0x44, 0xDEADBEEF);
        Assert.Equal(before ^ 0xDEADBEEF, bar.In32(0x104));
        Assert.Equal(AccessResult.Ok, bar.Read((64UL << 30) - 1, 1, out _));
        Assert.Equal(AccessResult.Unclaimed, bar.Read(64UL << 30, 1, out _));
    }

    [Fact]
    public void The_DMA_buffer_shows_up_to_the_MSI_X_half_or_the_end_of_the_BAR()
    {
        IAccessHandler whole = Make("id=a,bar0=mem32:16K").Handler(0)!;
        whole.Out32(0x13FC, 0x12345678);
        Assert.Equal(0x12345678u, whole.In32(0x13FC));
        whole.Out32(0x1400, 1);
        Assert.Equal(0u, whole.In32(0x1400));

        IAccessHandler half = Make("id=b,bar0=mem32:8K,msix=1").Handler(0)!;
        half.Out32(0xFFC, 0x12345678);
        half.Out32(0x1000, 1);
        Assert.Equal(0x12345678u, half.In32(0xFFC));
        Assert.Equal(0u, half.In32(0x1000));

        IAccessHandler io = Make("id=c,bar0=io:256").Handler(0)!;
        Assert.Equal(AccessResult.Unclaimed, io.Read(0x400, 4, out _));
    }

    [Fact]
    public void Reset_forgets_scratch_patterns_interrupts_and_the_buffer()
    {
        TestDeviceCore core = Make();
        IAccessHandler bar = core.Handler(0)!;
        uint untouched = core.Handler(2)!.In32(0);
        bar.Out32(0x10, 1);
        bar.Out32(0x20, 0);
        bar.Out32(0x400, 5);
        bar.Out32(0x44, 9);
        core.Handler(2)!.Out32(0, 77);
        core.Reset();
        Assert.False(_interrupts.Intx);
        Assert.Equal(0, core.AccessCount);
        foreach (ulong offset in new ulong[] { 0x10, 0x24, 0x28, 0x44, 0x48, 0x400 })
        {
            Assert.Equal(0u, bar.In32(offset));
        }

        Assert.Equal(untouched, core.Handler(2)!.In32(0));
    }
}
