using Aperture.Board.Pc;
using Aperture.Board.Tests.Fakes;
using Aperture.Memory;
using Aperture.Pci.Registers;

namespace Aperture.Board.Tests;

/// <summary>What the chipset's registers do to the address spaces.</summary>
public class ChipsetTests
{
    private const string Hub = "mch";
    private const string Device = "--device test,id=a,addr=04.0,bar0=mem32:4K:trap";
    private const ulong EcamOfA = 4UL << 15;
    private const uint TestIds = 0x0001_A9E7;

    private static void SetEcam(TestBoard board, ulong value)
    {
        board.Write(Hub, PciExBar.Offset, 0);
        board.Write(Hub, PciExBar.Offset + 4, (uint)(value >> 32));
        board.Write(Hub, PciExBar.Offset, (uint)value);
    }

    [Fact]
    public void After_a_reset_the_ECAM_is_off_and_its_register_says_where_it_would_be()
    {
        using TestBoard board = TestBoard.Raw(Device);
        Assert.Equal(0x29C0_8086u, board.Read(Hub, 0));
        Assert.Equal(0xB000_0000u, board.Read(Hub, PciExBar.Offset));
        Assert.Null(board.Answers(0xB000_0000));
        Assert.Equal(uint.MaxValue, board.Load(0xB000_0000 + EcamOfA));
    }

    [Theory]
    [InlineData(0xC000_0001UL, 256UL << 20, true)]
    [InlineData(0xC800_0003UL, 128UL << 20, true)]
    [InlineData(0xCC00_0005UL, 64UL << 20, false)]
    [InlineData(0x8_0000_0001UL, 256UL << 20, true)]
    public void The_ECAM_is_where_and_as_large_as_PCIEXBAR_says(ulong register, ulong size, bool reachesBus100)
    {
        using TestBoard board = TestBoard.Raw(Device);
        SetEcam(board, register);
        ulong start = register & ~7UL;
        Assert.Equal(TestIds, board.Load(start + EcamOfA));
        Assert.Equal("ecam", board.Answers(start + size - 1));
        Assert.NotEqual("ecam", board.Answers(start + size));
        Assert.Equal(reachesBus100, board.Answers(start + (100UL << 20)) == "ecam");
    }

    [Theory]
    [InlineData("addr=04.0", "0xe8000000", 128)]
    [InlineData("port=rp0", "0xe8000000", 128)]
    [InlineData("addr=04.0", "0xe8080000", 128)]
    [InlineData("addr=04.0", "0xe1000000", 16)]
    public void An_ECAM_that_the_guest_puts_on_a_pinned_BAR_ends_below_it(string place, string pin, int buses)
    {
        using TestBoard board = TestBoard.Raw("--root-port id=rp0", $"--device test,id=a,{place},bar0=mem32:512K:trap,bars=bar0@{pin}");
        SetEcam(board, 0xE000_0001);
        ulong size = (ulong)buses << 20;
        Assert.Equal(new AddressRange(new GuestAddress(0xE000_0000), size), board.Board.Chipset.Ecam);
        Assert.Equal("ecam", board.Answers(0xE000_0000 + size - 1));
        Assert.NotEqual("ecam", board.Answers(0xE000_0000 + size));
        Assert.Equal(0xE000_0001u, board.Read(Hub, PciExBar.Offset));
    }

    [Theory]
    [InlineData("bars=bar0@0xe0f00000")]
    [InlineData("bars=bar0@0xe8000000,policy=follow")]
    [InlineData("bars=bar0@0xf0000000")]
    public void An_ECAM_is_whole_where_a_pin_would_leave_too_few_buses_or_may_move_or_is_elsewhere(string pins)
    {
        using TestBoard board = TestBoard.Raw($"--device test,id=a,addr=04.0,bar0=mem32:512K:trap,{pins}");
        SetEcam(board, 0xE000_0001);
        Assert.Equal(256UL << 20, board.Board.Chipset.Ecam!.Value.Size);
    }

    [Fact]
    public void A_rewritten_PCIEXBAR_moves_the_ECAM_and_clearing_its_enable_bit_removes_it()
    {
        using TestBoard board = TestBoard.Direct(Device);
        Assert.Equal(TestIds, board.Load(0xB000_0000 + EcamOfA));
        SetEcam(board, 0xC_0000_0001);
        Assert.Null(board.Answers(0xB000_0000));
        Assert.Equal(TestIds, board.Load(0xC_0000_0000 + EcamOfA));
        board.Store(0xC_0000_0000 + PciExBar.Offset, 0);
        Assert.Null(board.Answers(0xC_0000_0000));
        Assert.Equal(TestIds, board.Read("a", 0));
    }

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(4)]
    public void A_write_with_the_reserved_size_code_leaves_PCIEXBAR_as_it_was(int size)
    {
        using TestBoard board = TestBoard.Direct(Device);
        board.Write(Hub, PciExBar.Offset, 0xC000_0007, size);
        Assert.Equal(0xB000_0001u, board.Read(Hub, PciExBar.Offset));
        Assert.Equal("ecam", board.Answers(0xB000_0000));
    }

    [Fact]
    public void ECAM_over_RAM_hides_the_RAM_and_gives_it_back_with_its_bytes()
    {
        using TestBoard board = TestBoard.Direct("--memory 64M");
        board.Store(0x20_0000, 0x1234_5678);
        SetEcam(board, 1);
        Assert.Equal("ecam", board.Answers(0x20_0000));
        Assert.Null(board.Host.At(0x20_0000));
        board.Write(Hub, PciExBar.Offset, 0);
        Assert.Equal(0x1234_5678u, board.Load(0x20_0000));
        Assert.NotNull(board.Host.At(0x20_0000));
    }

    [Fact]
    public void SMRAM_once_locked_is_closed_and_read_only_until_a_reset()
    {
        using TestBoard board = TestBoard.Direct();
        board.Write(Hub, 0x9D, 0x48, 1);
        Assert.Equal(0x4Au, board.Read(Hub, 0x9D, 1));
        board.Write(Hub, 0x9D, 0x58, 1);
        Assert.Equal(0x1Au, board.Read(Hub, 0x9D, 1));
        board.Write(Hub, 0x9D, 0x40, 1);
        board.Write(Hub, 0x9C, 0xFFFF_FFFF);
        Assert.Equal(0x1Au, board.Read(Hub, 0x9D, 1));
        board.Board.Reset();
        Assert.Equal(0x02u, board.Read(Hub, 0x9D, 1));
    }

    [Fact]
    public void PAM_routes_the_last_64_KiB_below_1_MiB_to_ROM_to_RAM_or_to_a_mixture()
    {
        using TestBoard board = TestBoard.Raw("--memory 16M");
        board.Firmware!.Write(0x1_FFF0UL, 0xAABB_CCDDu);
        board.Ram.Block.Write(0xF_FFF0UL, 0x1111_1111u);

        // Reset: reads from the ROM, writes nowhere.
        Assert.Equal(0xAABB_CCDDu, board.Load(0xF_FFF0));
        board.Store(0xF_FFF0, 0x2222_2222);
        Assert.Equal(0x1111_1111u, board.Ram.Block.Read<uint>(0xF_FFF0));

        // Write only: how firmware shadows itself.
        board.Write(Hub, PamRegisters.Offset, 0x20, 1);
        Assert.Equal(0xAABB_CCDDu, board.Load(0xF_FFF0));
        board.Store(0xF_FFF0, 0x3333_3333);
        Assert.Equal(0x3333_3333u, board.Ram.Block.Read<uint>(0xF_FFF0));

        // Read only: the shadow is protected, and mapped read-only.
        board.Write(Hub, PamRegisters.Offset, 0x10, 1);
        Assert.Equal(0x3333_3333u, board.Load(0xF_FFF0));
        board.Store(0xF_FFF0, 0x4444_4444);
        Assert.Equal(0x3333_3333u, board.Load(0xF_FFF0));
        Assert.True(board.Host.At(0xF_F000)!.Value.IsReadOnly);

        // Both: plain RAM.
        board.Write(Hub, PamRegisters.Offset, 0x30, 1);
        board.Store(0xF_FFF0, 0x5555_5555);
        Assert.Equal(0x5555_5555u, board.Load(0xF_FFF0));
        Assert.False(board.Host.At(0xF_F000)!.Value.IsReadOnly);
    }

    [Theory]
    [InlineData(0x91, 0x01, 0xC_0000UL)]
    [InlineData(0x91, 0x10, 0xC_4000UL)]
    [InlineData(0x93, 0x10, 0xD_4000UL)]
    [InlineData(0x96, 0x01, 0xE_8000UL)]
    [InlineData(0x96, 0x10, 0xE_C000UL)]
    public void Each_half_of_a_PAM_register_routes_its_own_16_KiB(int register, uint value, ulong piece)
    {
        using TestBoard board = TestBoard.Raw("--memory 16M");
        board.Write(Hub, register, value, 1);
        foreach (ulong at in Enumerable.Range(0, 16).Select(i => 0xC_0000UL + (0x4000UL * (ulong)i)))
        {
            bool isRam = board.Host.At(at) is { } slot && slot.Region.Ram == board.Ram.Block;
            Assert.Equal(at == piece, isRam);
        }
    }

    [Fact]
    public void The_VGA_window_has_no_RAM_behind_it()
    {
        using TestBoard board = TestBoard.Direct();
        Assert.Null(board.Host.At(0xA_0000));
        Assert.Null(board.Host.At(0xB_F000));
        Assert.NotNull(board.Host.At(0x9_F000));
        Assert.NotNull(board.Host.At(0xC_0000));
        Assert.Equal(uint.MaxValue, board.Load(0xA_0000));
    }

    [Fact]
    public void A_byte_at_0xCF9_resets_and_a_dword_over_it_is_the_config_address()
    {
        using TestBoard board = TestBoard.Direct();
        board.Cpu.PortWrite(0xCF8, 4, 0x0606);
        board.Cpu.PortWrite(0xCF8, 2, 0x0606);
        Assert.Empty(board.Requests);
        Assert.Equal(0x0606u, board.Cpu.PortRead(0xCF8, 4));
        board.Cpu.PortWrite(0xCF9, 1, 0x06);
        Assert.Equal([(MachineRequest.Reset, 0)], board.Requests);
        Assert.Equal(0x0606u, board.Cpu.PortRead(0xCF8, 4));
        board.Board.Reset();
        Assert.Equal(0u, board.Cpu.PortRead(0xCF8, 4));
    }

    [Fact]
    public void Every_debug_exit_ends_with_its_own_code_and_reset_devices_ask_for_a_reset()
    {
        using TestBoard board = TestBoard.Direct("--device debug-exit", "--device debug-exit,port=0x500");
        board.Cpu.PortWrite(0xF4, 1, 0x10);
        board.Cpu.PortWrite(0x500, 4, 3);
        board.Cpu.PortWrite(0x64, 1, 0xFE);
        board.Cpu.PortWrite(0x92, 1, 0x01);
        Assert.Equal([(MachineRequest.Exit, 0x21), (MachineRequest.Exit, 7), (MachineRequest.Reset, 0), (MachineRequest.Reset, 0)], board.Requests);
    }

    [Fact]
    public void Soft_off_asks_for_power_off()
    {
        using TestBoard board = TestBoard.Direct();
        board.Cpu.PortWrite(LpcBridge.AcpiBase + 4, 2, 7 << 10 | 1 << 13);
        Assert.Equal([(MachineRequest.PowerOff, 0)], board.Requests);
    }

    [Fact]
    public void A_guest_that_reads_ports_and_memory_nobody_has_reads_ones_and_is_counted()
    {
        using TestBoard board = TestBoard.Direct();
        Assert.Equal(0xFFu, board.Cpu.PortRead(0x1234, 1) & 0xFF);
        Assert.Equal(0xFFFFu, board.Cpu.PortRead(0xFFFF, 2) & 0xFFFF);
        Assert.Equal(ulong.MaxValue, board.Load(0x70_0000_0000, 8));
        Assert.Equal(2u, (uint)board.Board.UnclaimedPorts.Total);
        Assert.Equal(1u, (uint)board.Board.Unclaimed.Total);
    }

    [Fact]
    public void The_memory_registers_say_where_RAM_ends()
    {
        using TestBoard board = TestBoard.Direct("--memory 48M");
        Assert.Equal(48u << 4, board.Read(Hub, 0xB0, 2));
        Assert.Equal(48u, board.Read(Hub, 0xA2, 2));
    }

    [Fact]
    public void A_BAR_that_firmware_puts_on_the_pages_that_KVM_keeps_does_not_decode()
    {
        using TestBoard board = TestBoard.Raw("--device test,id=a,bar0=mem32:16K:ram");
        board.SetBar("a", 0, 0xFEFF_C000);
        board.SetCommand("a", PciCommand.MemorySpace);
        Assert.Null(board.Answers(0xFEFF_C000));
        board.SetBar("a", 0, 0xFEFF_8000);
        Assert.Equal("a.bar0", board.Answers(0xFEFF_8000));
    }

    [Fact]
    public void The_board_lets_go_of_all_its_memory()
    {
        TestBoard board = TestBoard.Direct("--device test,id=a,bar0=mem32:64K:ram");
        RamBlock bar = board.Host.Table.Values.Single(s => s.Region.Name == "a.bar0").Region.Ram!;
        board.Dispose();
        Assert.Throws<ObjectDisposedException>(() => bar.Read<byte>(0));
        Assert.Throws<ObjectDisposedException>(() => board.Ram.Block.Read<byte>(0));
    }
}
