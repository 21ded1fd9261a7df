using Aperture.Devices.Pc;
using Aperture.TestKit.Devices;
using FsCheck;
using FsCheck.Fluent;

namespace Aperture.Devices.Tests;

public class CmosTests
{
    private readonly FakeClock _clock = new();
    private readonly FakeLine _line = new();

    private static byte Get(Cmos cmos, int register)
    {
        cmos.Out(0, (byte)register);
        return cmos.In(1);
    }

    private static void Set(Cmos cmos, int register, int value)
    {
        cmos.Out(0, (byte)register);
        cmos.Out(1, (byte)value);
    }

    private static byte[] GetTime(Cmos cmos) => [.. new[] { 0x32, 9, 8, 7, 4, 2, 0 }.Select(register => Get(cmos, register))];

    // As Linux sets the clock: SET, divider reset, fields, both released.
    private static void SetTime(Cmos cmos, params int[] fields)
    {
        byte b = Get(cmos, 0x0B);
        byte a = Get(cmos, 0x0A);
        Set(cmos, 0x0B, b | 0x80);
        Set(cmos, 0x0A, a | 0x70);
        foreach ((int register, int value) in new[] { 0x32, 9, 8, 7, 4, 2, 0 }.Zip(fields))
        {
            Set(cmos, register, value);
        }

        Set(cmos, 0x0B, b);
        Set(cmos, 0x0A, a & 0x7F);
    }

    private Cmos Make() => new(_clock, _line, new CmosMemorySize(2UL << 30, 6UL << 30));

    [Fact]
    public void The_time_reads_as_UTC_in_BCD_with_24_hours_after_power_on()
    {
        using Cmos cmos = Make();
        Assert.Equal([0x20, 0x26, 0x03, 0x14, 0x15, 0x09, 0x26], GetTime(cmos));
        Assert.Equal(7, Get(cmos, 6));
        Assert.Equal(0x80, Get(cmos, 0x0D));
    }

    [Fact]
    public void Binary_mode_and_12_hours_change_how_the_same_time_reads()
    {
        using Cmos cmos = Make();
        Set(cmos, 0x0B, 0x06);
        Assert.Equal([20, 26, 3, 14, 15, 9, 26], GetTime(cmos));
        Set(cmos, 0x0B, 0x00);
        Assert.Equal(0x83, Get(cmos, 4));
        _clock.Advance(TimeSpan.FromHours(9));
        Assert.Equal(0x12, Get(cmos, 4));
        _clock.Advance(TimeSpan.FromHours(12));
        Assert.Equal(0x92, Get(cmos, 4));
    }

    [Fact]
    public void Setting_the_time_reads_back_and_runs_on_with_the_first_update_half_a_second_later()
    {
        using Cmos cmos = Make();
        SetTime(cmos, 0x19, 0x99, 0x12, 0x31, 0x23, 0x59, 0x59);
        Assert.Equal([0x19, 0x99, 0x12, 0x31, 0x23, 0x59, 0x59], GetTime(cmos));
        _clock.Advance(TimeSpan.FromMilliseconds(499));
        Assert.Equal(0x59, Get(cmos, 0));
        _clock.Advance(TimeSpan.FromMilliseconds(1));
        Assert.Equal([0x20, 0x00, 0x01, 0x01, 0x00, 0x00, 0x00], GetTime(cmos));
    }

    [Fact]
    public void While_SET_is_on_the_time_stands_still_and_update_in_progress_is_clear()
    {
        using Cmos cmos = Make();
        Set(cmos, 0x0B, 0x82);
        _clock.Advance(TimeSpan.FromSeconds(10) - TimeSpan.FromMicroseconds(100));
        Assert.Equal(0x26, Get(cmos, 0));
        Assert.Equal(0, Get(cmos, 0x0A) & 0x80);
    }

    [Fact]
    public void Update_in_progress_shows_just_before_the_second_and_the_time_is_stable_outside()
    {
        using Cmos cmos = Make();
        Assert.Equal(0, Get(cmos, 0x0A) & 0x80);
        _clock.Advance(TimeSpan.FromSeconds(1) - TimeSpan.FromMicroseconds(200));
        Assert.Equal(0x80, Get(cmos, 0x0A) & 0x80);
        Assert.Equal(0x26, Get(cmos, 0));
        _clock.Advance(TimeSpan.FromMicroseconds(200));
        Assert.Equal(0, Get(cmos, 0x0A) & 0x80);
        Assert.Equal(0x27, Get(cmos, 0));
    }

    [Fact]
    public void Every_time_that_the_registers_can_say_reads_back_in_every_mode()
    {
        Gen<(DateTime, byte)> cases =
            from days in Gen.Choose(0, 3_600_000)
            from seconds in Gen.Choose(0, 86399)
            from mode in Gen.Elements<byte>(0, 2, 4, 6)
            select (DateTime.MinValue.AddDays(days).AddSeconds(seconds), mode);
        Prop.ForAll(cases.ToArbitrary(), pair =>
        {
            (DateTime time, byte mode) = pair;
            using Cmos cmos = new(new FakeClock(), new FakeLine(), default);
            Set(cmos, 0x0B, mode);
            int Spell(int value) => (mode & 4) != 0 ? value : Convert.ToInt32(value.ToString(), 16);
            int hour = (mode & 2) != 0
                ? Spell(time.Hour)
                : Spell(int.Parse(time.ToString("hh", null))) | (time.Hour >= 12 ? 0x80 : 0);
            int[] fields = [Spell(time.Year / 100), Spell(time.Year % 100), Spell(time.Month), Spell(time.Day), hour, Spell(time.Minute), Spell(time.Second)];
            SetTime(cmos, fields);
            Assert.Equal(fields, GetTime(cmos).Select(value => (int)value));
        }).Holds();
    }

    [Fact]
    public void A_time_that_does_not_exist_becomes_the_nearest_that_does()
    {
        using Cmos cmos = Make();
        SetTime(cmos, 0x20, 0x23, 0x02, 0x31, 0x23, 0x00, 0x00);
        Assert.Equal([0x20, 0x23, 0x02, 0x28, 0x23, 0x00, 0x00], GetTime(cmos));
        SetTime(cmos, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF);
        Assert.Equal([0x99, 0x99, 0x12, 0x31, 0x23, 0x59, 0x59], GetTime(cmos));
        _clock.Advance(TimeSpan.FromDays(400));
        Assert.Equal(0x99, Get(cmos, 9));
    }

    [Fact]
    public void The_update_interrupt_comes_each_second_and_reading_C_clears_it()
    {
        using Cmos cmos = Make();
        Get(cmos, 0x0C);
        Set(cmos, 0x0B, 0x12);
        Assert.False(_line.Level);
        _clock.Advance(TimeSpan.FromSeconds(1));
        Assert.True(_line.Level);
        Assert.Equal(0x90, Get(cmos, 0x0C) & 0xB0);
        Assert.False(_line.Level);
        Assert.Equal(0, Get(cmos, 0x0C) & 0xB0);
        _clock.Advance(TimeSpan.FromSeconds(1));
        Assert.True(_line.Level);
    }

    [Theory]
    [InlineData(0x15, 0x09, 0x30, 4)]
    [InlineData(0xC0, 0xFF, 0x25, 59)]
    [InlineData(0xFF, 0xFF, 0xFF, 1)]
    [InlineData(0x15, 0x09, 0x26, 86400)]
    [InlineData(0x00, 0x00, 0x00, 31834)]
    public void The_alarm_rings_at_the_next_time_that_its_registers_name(int hour, int minute, int second, int after)
    {
        using Cmos cmos = Make();
        Set(cmos, 5, hour);
        Set(cmos, 3, minute);
        Set(cmos, 1, second);
        Get(cmos, 0x0C);
        Set(cmos, 0x0B, 0x22);
        _clock.Advance(TimeSpan.FromSeconds(after) - TimeSpan.FromMilliseconds(1));
        Assert.False(_line.Level);
        _clock.Advance(TimeSpan.FromMilliseconds(1));
        Assert.True(_line.Level);
        Assert.Equal(0xA0, Get(cmos, 0x0C) & 0xA0);
    }

    [Fact]
    public void An_alarm_that_names_no_time_never_rings_and_arms_no_timer()
    {
        using Cmos cmos = Make();
        Set(cmos, 5, 0x25);
        Set(cmos, 0x0B, 0x22);
        Assert.Equal(0, _clock.ArmedTimers);
        _clock.Advance(TimeSpan.FromDays(3));
        Assert.False(_line.Level);
    }

    [Fact]
    public void The_periodic_interrupt_follows_the_rate_and_rate_zero_is_off()
    {
        using Cmos cmos = Make();
        Set(cmos, 0x0A, 0x2F);
        Get(cmos, 0x0C);
        Set(cmos, 0x0B, 0x42);
        _clock.Advance(TimeSpan.FromMilliseconds(499));
        Assert.False(_line.Level);
        _clock.Advance(TimeSpan.FromMilliseconds(1));
        Assert.True(_line.Level);
        Get(cmos, 0x0C);
        Set(cmos, 0x0A, 0x20);
        Get(cmos, 0x0C);
        Assert.Equal(0, _clock.ArmedTimers);
        _clock.Advance(TimeSpan.FromSeconds(5));
        Assert.False(_line.Level);
    }

    [Fact]
    public void No_timer_runs_while_no_interrupt_is_enabled_and_flags_are_still_right()
    {
        using Cmos cmos = Make();
        Get(cmos, 0x0C);
        Assert.Equal(0, _clock.ArmedTimers);
        _clock.Advance(TimeSpan.FromSeconds(1));
        Assert.Equal(0x50, Get(cmos, 0x0C));
    }

    [Fact]
    public void Memory_sizes_stand_where_firmware_looks()
    {
        using Cmos cmos = Make();
        int Word(int low) => Get(cmos, low) | Get(cmos, low + 1) << 8;
        Assert.Equal(640, Word(0x15));
        Assert.Equal(0xFFFF, Word(0x17));
        Assert.Equal(0xFFFF, Word(0x30));
        Assert.Equal((2048 - 16) * 16, Word(0x34));
        Assert.Equal(6 << 14, Word(0x5B) | Get(cmos, 0x5D) << 16);
        Assert.Equal(Enumerable.Range(0x10, 0x1E).Sum(i => Get(cmos, i)), Get(cmos, 0x2E) << 8 | Get(cmos, 0x2F));
    }

    [Fact]
    public void Memory_sizes_follow_RAM_that_moved_and_the_checksum_with_them()
    {
        using Cmos cmos = Make();
        cmos.SetMemorySize(new CmosMemorySize(32UL << 20, 1UL << 30));
        Assert.Equal(256, Get(cmos, 0x34) | Get(cmos, 0x35) << 8);
        Assert.Equal(1 << 14, Get(cmos, 0x5B) | Get(cmos, 0x5C) << 8 | Get(cmos, 0x5D) << 16);
        Assert.Equal(Enumerable.Range(0x10, 0x1E).Sum(i => Get(cmos, i)), Get(cmos, 0x2E) << 8 | Get(cmos, 0x2F));
    }

    [Fact]
    public void Small_memory_reports_exactly_and_none_reports_zero()
    {
        using Cmos small = new(_clock, _line, new CmosMemorySize(32UL << 20, 0));
        Assert.Equal(31 << 10, Get(small, 0x30) | Get(small, 0x31) << 8);
        Assert.Equal(256, Get(small, 0x34) | Get(small, 0x35) << 8);
        using Cmos none = new(_clock, _line, default);
        Assert.Equal(0, Get(none, 0x15) | Get(none, 0x16) | Get(none, 0x30) | Get(none, 0x34) | Get(none, 0x5B));
    }

    [Fact]
    public void The_NMI_bit_of_the_index_is_masked_and_RAM_survives_a_reset()
    {
        using Cmos cmos = Make();
        Set(cmos, 0x8F, 0x0A);
        Set(cmos, 0x0B, 0x12);
        _clock.Advance(TimeSpan.FromSeconds(1));
        Assert.True(_line.Level);
        cmos.Reset();
        Assert.False(_line.Level);
        Assert.Equal(0x0A, Get(cmos, 0x0F));
        Assert.Equal(0x02, Get(cmos, 0x0B));
        Assert.Equal(0xFF, cmos.In(0));
    }

    [Fact]
    public void A_word_write_sets_index_and_data_at_once()
    {
        using Cmos cmos = Make();
        Assert.Equal(AccessResult.Ok, cmos.Write(0, 2, 0x5A40));
        Assert.Equal(0x5A, Get(cmos, 0x40));
    }

    [Fact]
    public void Firmware_finds_the_processors_and_the_boot_order_and_the_checksum_still_holds()
    {
        CmosBoot boot = new(4, CmosBootDevice.Cdrom, CmosBootDevice.Disk, CmosBootDevice.OptionRom);
        using Cmos cmos = new(_clock, _line, new CmosMemorySize(2UL << 30, 0), boot);
        Assert.Equal(3, Get(cmos, 0x5F));
        Assert.Equal(0x23, Get(cmos, 0x3D));
        Assert.Equal(0x41, Get(cmos, 0x38));
        int sum = Enumerable.Range(0x10, 0x1E).Sum(register => Get(cmos, register));
        Assert.Equal(sum, (Get(cmos, 0x2E) << 8) | Get(cmos, 0x2F));
        using Cmos large = new(_clock, _line, default, new CmosBoot(1000));
        Assert.Equal(255, Get(large, 0x5F));
    }
}
