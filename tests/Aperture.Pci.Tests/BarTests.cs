using Aperture.Pci.Registers;

namespace Aperture.Pci.Tests;

public class BarTests
{
    private const ulong Pin = 0x6B80_0000_0000;

    [Theory]
    [InlineData(BarKind.Io, 256ul, 0xFFFF_FF01u)]
    [InlineData(BarKind.Memory32, 0x10_0000ul, 0xFFF0_0000u)]
    [InlineData(BarKind.Memory32Prefetchable, 16ul, 0xFFFF_FFF8u)]
    public void An_all_ones_write_reads_back_as_size_mask_and_type_bits(BarKind kind, ulong size, uint expected)
    {
        PciFunction function = Build.Function();
        function.AddBar(3, kind, size);
        function.WriteConfig(0x1C, 4, uint.MaxValue);
        Assert.Equal(expected, function.ReadConfig(0x1C, 4));
    }

    [Theory]
    [InlineData(BarKind.Memory64, 0x4000ul, 0xFFFF_C004u, 0xFFFF_FFFFu)]
    [InlineData(BarKind.Memory64Prefetchable, 0x10_0000_0000ul, 0x0000_000Cu, 0xFFFF_FFF0u)]
    public void Each_half_of_a_64_bit_bar_sizes_by_itself(BarKind kind, ulong size, uint low, uint high)
    {
        PciFunction function = Build.Function();
        function.AddBar(2, kind, size);
        function.WriteConfig(0x18, 4, uint.MaxValue);
        Assert.Equal(low, function.ReadConfig(0x18, 4));
        Assert.Equal(0u, function.ReadConfig(0x1C, 4));
        function.WriteConfig(0x18, 4, 0);
        function.WriteConfig(0x1C, 4, uint.MaxValue);
        Assert.Equal(low & 0xF, function.ReadConfig(0x18, 4));
        Assert.Equal(high, function.ReadConfig(0x1C, 4));
    }

    [Fact]
    public void A_rom_sizes_with_its_enable_bit_apart()
    {
        PciFunction function = Build.Function();
        function.AddBar(BarKinds.RomIndex, BarKind.Rom, 0x1_0000);
        function.WriteConfig(PciRegisters.RomType0, 4, 0xFFFF_FFFE);
        Assert.Equal(0xFFFF_0000u, function.ReadConfig(PciRegisters.RomType0, 4));
        function.WriteConfig(PciRegisters.RomType0, 4, 0xFFFF_FFFF);
        Assert.Equal(0xFFFF_0001u, function.ReadConfig(PciRegisters.RomType0, 4));
    }

    [Fact]
    public void A_write_that_cannot_change_what_decodes_asks_for_no_new_map()
    {
        PciFunction function = Build.Function();
        function.AddBar(0, BarKind.Memory32, 0x1000);
        function.AddBar(BarKinds.RomIndex, BarKind.Rom, 0x1000);
        Assert.Equal(ConfigChange.BarProgrammed, function.WriteConfig(0x10, 4, 0xE000_0000));
        Build.Enable(function);
        Assert.Equal(ConfigChange.None, function.WriteConfig(0x10, 4, 0xE000_0123));
        Assert.Equal(ConfigChange.BarProgrammed | ConfigChange.DecodeMap, function.WriteConfig(0x13, 1, 0xE1));
        Assert.Equal(ConfigChange.BarProgrammed, function.WriteConfig(0x30, 4, 0xE200_0000));
        Assert.Equal(ConfigChange.BarProgrammed | ConfigChange.DecodeMap, function.WriteConfig(0x30, 1, 1));
    }

    [Fact]
    public void A_locked_bar_serves_sizing_and_then_reads_back_as_its_pin()
    {
        (PciFunction function, Bar bar) = Pinned(BarPinPolicy.Lock);
        Build.Enable(function);
        Assert.Equal(Pin, Read64(function));
        ConfigChange sizing = function.WriteConfig(0x18, 4, uint.MaxValue) | function.WriteConfig(0x1C, 4, uint.MaxValue);
        Assert.Equal(ConfigChange.BarProgrammed, sizing);
        Assert.Equal(0xFFFF_FFFF_F000_0000, Read64(function));
        Assert.Equal(0xFFFF_FFFF_F000_0000, Read64(function));
        Assert.Equal(Pin, bar.DecodeAddress.Value);
        ConfigChange restoring = function.WriteConfig(0x18, 4, 0) | function.WriteConfig(0x1C, 4, (uint)(Pin >> 32));
        Assert.Equal(Pin, Read64(function));
        Assert.False(restoring.HasFlag(ConfigChange.DecodeMap) || restoring.HasFlag(ConfigChange.PinnedBarWrite));
        Assert.Equal(0, bar.MoveAttempts);
    }

    [Theory]
    [InlineData(BarPinPolicy.Lock)]
    [InlineData(BarPinPolicy.Stop)]
    public void A_locked_bar_ignores_another_address_and_reports_it(BarPinPolicy policy)
    {
        (PciFunction function, Bar bar) = Pinned(policy);
        Build.Enable(function);
        Assert.Equal(ConfigChange.PinnedBarWrite, function.WriteConfig(0x18, 4, 0xE000_0000));
        Assert.Equal(ConfigChange.PinnedBarWrite, function.WriteConfig(0x1C, 4, 0));
        Assert.Equal(Pin, Read64(function));
        Assert.Equal(Pin, bar.DecodeAddress.Value);
        Assert.Equal(2, bar.MoveAttempts);
        Assert.Equal(0xE000_0000u, bar.LastMoveAttempt.Value);
    }

    [Fact]
    public void Sizing_a_locked_bar_byte_by_byte_works_too()
    {
        (PciFunction function, _) = Pinned(BarPinPolicy.Lock);
        for (int i = 0; i < 4; i++)
        {
            function.WriteConfig(0x18 + i, 1, 0xFF);
        }

        Assert.Equal(0xF000_000Cu, function.ReadConfig(0x18, 4));
    }

    [Fact]
    public void A_pin_whose_low_half_is_the_size_mask_still_notices_a_move_of_the_high_half()
    {
        PciFunction function = Build.Function();
        Bar bar = function.AddBar(2, BarKind.Memory64, 0x1000_0000);
        bar.SetPin(Build.At(0x1_F000_0000));
        Assert.Equal(ConfigChange.PinnedBarWrite, function.WriteConfig(0x1C, 4, 7));
        Assert.Equal(0x7_F000_0000u, bar.LastMoveAttempt.Value);
    }

    [Fact]
    public void A_following_bar_moves_and_reports_it()
    {
        (PciFunction function, Bar bar) = Pinned(BarPinPolicy.Follow);
        Build.Enable(function);
        ConfigChange change = function.WriteConfig(0x1C, 4, 0x7000);
        Assert.Equal(ConfigChange.PinnedBarWrite | ConfigChange.BarProgrammed | ConfigChange.DecodeMap, change);
        Assert.Equal(0x7000_0000_0000u, bar.DecodeAddress.Value);
        Assert.Equal(0x7000_0000_0000u, Read64(function));
    }

    [Fact]
    public void Reset_returns_bars_to_zero_and_decode_off_but_pinned_bars_to_their_pin()
    {
        foreach (BarPinPolicy policy in Enum.GetValues<BarPinPolicy>())
        {
            (PciFunction function, Bar bar) = Pinned(policy);
            function.AddBar(0, BarKind.Memory32, 0x1000);
            function.WriteConfig(0x10, 4, 0xE000_0000);
            function.WriteConfig(0x1C, 4, 0x7000);
            Build.Enable(function);
            function.Reset(ResetKind.Conventional);
            Assert.Equal(0u, function.ReadConfig(0x10, 4));
            Assert.Equal(Pin, bar.DecodeAddress.Value);
            Assert.Equal(Pin, Read64(function));
            Assert.Equal(PciCommand.None, function.Command);
        }
    }

    [Fact]
    public void A_pinned_rom_keeps_its_enable_bit_writable()
    {
        PciFunction function = Build.Function();
        Bar rom = function.AddBar(BarKinds.RomIndex, BarKind.Rom, 0x1000);
        rom.SetPin(Build.At(0xE000_0000));
        Build.Enable(function);
        Assert.Equal(ConfigChange.BarProgrammed | ConfigChange.DecodeMap, function.WriteConfig(0x30, 4, 0xE000_0001));
        Assert.Equal(0xE000_0001u, function.ReadConfig(0x30, 4));
        function.WriteConfig(0x30, 4, 0xFFFF_F800);
        Assert.Equal(0xFFFF_F000u, function.ReadConfig(0x30, 4));
        Assert.False(rom.IsEnabled);
    }

    [Fact]
    public void Firmware_programs_bars_and_cannot_break_their_rules()
    {
        (PciFunction function, Bar bar) = Pinned(BarPinPolicy.Lock);
        Bar small = function.AddBar(0, BarKind.Memory32, 0x1000);
        function.ProgramBar(0, Build.At(0xE000_0000));
        Assert.Equal(0xE000_0000u, small.Programmed.Value);
        Assert.Throws<ArgumentException>(() => function.ProgramBar(0, Build.At(0xE000_0800)));
        Assert.Throws<ArgumentException>(() => function.ProgramBar(0, Build.At(0x1_0000_0000)));
        Assert.Throws<ArgumentException>(() => function.ProgramBar(5, Build.At(0x1000)));
        Assert.Throws<ArgumentException>(() => function.ProgramBar(2, Build.At(0x1_0000_0000)));
        function.ProgramBar(2, Build.At(Pin));
        Assert.Equal(Pin, bar.Programmed.Value);
    }

    [Theory]
    [InlineData(5, BarKind.Memory64, 0x1000ul)]
    [InlineData(-1, BarKind.Memory32, 0x1000ul)]
    [InlineData(6, BarKind.Memory32, 0x1000ul)]
    [InlineData(0, BarKind.Rom, 0x1000ul)]
    [InlineData(0, BarKind.Memory32, 0x1800ul)]
    [InlineData(0, BarKind.Memory32, 0x1_0000_0000ul)]
    [InlineData(0, BarKind.Memory64, 8ul)]
    [InlineData(0, BarKind.Io, 2ul)]
    [InlineData(3, BarKind.Memory32, 0x1000ul)]
    public void A_bar_that_no_function_could_have_is_refused(int index, BarKind kind, ulong size)
    {
        (PciFunction function, _) = Pinned(BarPinPolicy.Lock);
        Assert.Throws<ApertureException>(() => function.AddBar(index, kind, size));
    }

    private static (PciFunction Function, Bar Bar) Pinned(BarPinPolicy policy)
    {
        PciFunction function = Build.Function();
        Bar bar = function.AddBar(2, BarKind.Memory64Prefetchable, 0x1000_0000);
        bar.SetPin(Build.At(Pin), policy);
        return (function, bar);
    }

    private static ulong Read64(PciFunction function) =>
        (function.ReadConfig(0x18, 4) & ~0xFul) | (ulong)function.ReadConfig(0x1C, 4) << 32;
}
