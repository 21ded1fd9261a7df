using Aperture.Board.Tests.Fakes;
using Aperture.Devices.TestDevice;
using Aperture.Pci.Capabilities;
using Aperture.Pci.Registers;

namespace Aperture.Board.Tests;

/// <summary>Interrupts and DMA of devices in their board.</summary>
public class DeviceTests
{
    private const PciCommand Memory = PciCommand.MemorySpace;
    private const PciCommand Master = Memory | PciCommand.BusMaster;
    private const ulong MessageAddress = 0xFEE0_0000;

    private static void Fire(TestBoard board, string name, uint vector = 0) =>
        board.Store(board.BarAt(name, 0) + TestRegisters.InterruptTrigger, vector);

    private static void Acknowledge(TestBoard board, string name) =>
        board.Store(board.BarAt(name, 0) + TestRegisters.InterruptStatus, 1);

    private static bool Dma(TestBoard board, string name, ulong destination, uint value)
    {
        ulong bar = board.BarAt(name, 0);
        board.Store(bar + TestRegisters.Buffer, value);
        board.Store(bar + TestRegisters.DmaSource, 0, 8);
        board.Store(bar + TestRegisters.DmaDestination, destination, 8);
        board.Store(bar + TestRegisters.DmaLength, 4);
        board.Store(bar + TestRegisters.DmaCommand, (uint)TestDmaCommand.BufferToGuest);
        return board.Load(bar + TestRegisters.DmaStatus) == 1;
    }

    [Theory]
    [InlineData("--device test,id=a,addr=04.0,bar0=mem32:4K:trap", 20u)]
    [InlineData("--device test,id=a,addr=0a.0,bar0=mem32:4K:trap", 18u)]
    [InlineData("--device test,id=a,addr=1e.0,bar0=mem32:4K:trap", 16u)]
    public void INTA_of_root_device_d_arrives_at_16_plus_d_modulo_8_and_of_the_chipsets_devices_from_25_on_at_16(string device, uint gsi)
    {
        using TestBoard board = TestBoard.Direct(device);
        Fire(board, "a");
        Assert.Equal([gsi], board.Lines.Where(l => l.Value.Level).Select(l => l.Key));
        Acknowledge(board, "a");
        Assert.DoesNotContain(board.Lines.Values, l => l.Level);
    }

    [Fact]
    public void Behind_a_switch_INTA_is_swizzled_by_the_downstream_ports_device_number()
    {
        using TestBoard board = TestBoard.Direct(
            "--root-port id=rp,addr=03.0", "--switch id=sw,port=rp,downstream=3",
            "--device test,id=a,port=sw.0,bar0=mem32:4K:trap", "--device test,id=b,port=sw.2,bar0=mem32:4K:trap");
        Fire(board, "a");
        Assert.True(board.Lines[19].Level);
        Fire(board, "b");
        Assert.True(board.Lines[21].Level);
    }

    [Fact]
    public void Devices_on_one_line_hold_it_until_the_last_lets_go()
    {
        using TestBoard board = TestBoard.Direct(
            "--device test,id=a,addr=04.0,bar0=mem32:4K:trap", "--device test,id=b,addr=0c.0,bar0=mem32:4K:trap");
        Fire(board, "a");
        Fire(board, "b");
        Acknowledge(board, "a");
        Assert.True(board.Lines[20].Level);
        Acknowledge(board, "b");
        Assert.False(board.Lines[20].Level);
    }

    [Fact]
    public void Interrupt_disable_holds_the_line_down_and_a_reset_lets_go_of_it()
    {
        using TestBoard board = TestBoard.Direct("--device test,id=a,addr=04.0,bar0=mem32:4K:trap");
        Fire(board, "a");
        board.SetCommand("a", Memory | PciCommand.InterruptDisable);
        Assert.False(board.Lines[20].Level);
        board.SetCommand("a", Memory);
        Assert.True(board.Lines[20].Level);
        board.Board.Reset();
        Assert.False(board.Lines[20].Level);
    }

    [Fact]
    public void An_MSI_is_sent_with_the_requesters_id_and_only_while_bus_mastering_is_on()
    {
        using TestBoard board = TestBoard.Direct("--root-port id=rp", "--device test,id=a,port=rp,bar0=mem32:8K:trap,msi=4");
        int msi = board.Function("a").Find<MsiCapability>()!.Offset;
        board.SetCommand("a", Master);
        board.Write("a", msi + 4, (uint)MessageAddress);
        board.Write("a", msi + 12, 0x40, 2);
        board.Write("a", msi + 2, 0x21, 2);
        Fire(board, "a", 2);
        Assert.Equal([(board.Function("a").Bdf, new MsiMessage(new GuestAddress(MessageAddress), 0x42))], board.Messages);
        board.SetCommand("a", Memory);
        Fire(board, "a", 1);
        Assert.Single(board.Messages);
        Assert.DoesNotContain(board.Lines.Values, l => l.Level);
    }

    [Fact]
    public void An_MSI_X_vector_is_sent_as_its_table_entry_says()
    {
        using TestBoard board = TestBoard.Direct("--device test,id=a,addr=04.0,bar0=mem32:8K:trap,msix=2");
        ulong table = board.BarAt("a", 0) + 0x1000;
        board.SetCommand("a", Master);
        board.Store(table + 16, MessageAddress, 8);
        board.Store(table + 24, 0x55, 8);
        board.Write("a", board.Function("a").Find<MsixCapability>()!.Offset + 2, 0x8000, 2);
        Fire(board, "a", 1);
        Assert.Equal(new MsiMessage(new GuestAddress(MessageAddress), 0x55), Assert.Single(board.Messages).Message);
    }

    [Fact]
    public void DMA_reaches_RAM_only_while_bus_mastering_is_on()
    {
        using TestBoard board = TestBoard.Direct("--device test,id=a,addr=04.0,bar0=mem32:8K:trap");
        Assert.False(Dma(board, "a", 0x20_0000, 1));
        Assert.Equal(0u, board.Load(0x20_0000));
        board.SetCommand("a", Master);
        Assert.True(Dma(board, "a", 0x20_0000, 2));
        Assert.Equal(2u, board.Load(0x20_0000));
    }

    [Fact]
    public void DMA_reaches_another_devices_BARs_and_not_the_devices_own()
    {
        using TestBoard board = TestBoard.Direct(
            "--device test,id=a,addr=04.0,bar0=mem32:8K:trap,bar2=mem64p:64K:ram",
            "--device test,id=b,addr=05.0,bar0=mem32:8K:trap,bar2=mem64p:64K:ram");
        board.SetCommand("a", Master);
        Assert.True(Dma(board, "a", board.BarAt("b", 2) + 8, 0x1111));
        Assert.Equal(0x1111u, board.Load(board.BarAt("b", 2) + 8));
        Assert.True(Dma(board, "a", board.BarAt("b", 0) + TestRegisters.Scratch, 0x2222));
        Assert.Equal(0x2222u, board.Load(board.BarAt("b", 0) + TestRegisters.Scratch));
        Assert.False(Dma(board, "a", board.BarAt("a", 2), 0x3333));
        Assert.Equal(0u, board.Load(board.BarAt("a", 2)));
    }

    [Fact]
    public void DMA_into_the_ECAM_window_is_a_config_write_that_takes_effect()
    {
        using TestBoard board = TestBoard.Direct("--device test,id=a,addr=04.0,bar0=mem32:8K:trap", "--device test,id=b,addr=05.0,bar0=mem32:8K:trap");
        board.SetCommand("a", Master);
        ulong bar = board.BarAt("b", 0);
        Assert.True(Dma(board, "a", 0xB000_0000 + (5UL << 15) + 4, 0));
        Assert.Null(board.Answers(bar));
    }
}
