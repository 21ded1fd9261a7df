using Aperture.Devices.Pc;
using Aperture.TestKit.Devices;
using FsCheck;
using FsCheck.Fluent;

namespace Aperture.Devices.Tests;

public class AcpiPmBlockTests
{
    private readonly FakeClock _clock = new();
    private readonly FakeLine _sci = new();
    private readonly FakeMachine _machine = new();

    private AcpiPmBlock Make(bool alwaysAcpi = true, int bits = 32) => new(_clock, _sci, _machine, alwaysAcpi, bits);

    private static ushort In16(AcpiPmBlock block, ulong offset)
    {
        Assert.Equal(AccessResult.Ok, block.Read(offset, 2, out ulong value));
        return (ushort)value;
    }

    private static void Out16(AcpiPmBlock block, ulong offset, int value) =>
        Assert.Equal(AccessResult.Ok, block.Write(offset, 2, (ulong)value));

    [Theory]
    [InlineData(32, 0xFFFFFFFFul)]
    [InlineData(24, 0xFFFFFFul)]
    public void The_timer_counts_3579545_a_second_for_years_without_overflow(int bits, ulong mask)
    {
        using AcpiPmBlock block = Make(bits: bits);
        foreach (double seconds in new[] { 0.001, 1, 5000, 1e6, 1e9 })
        {
            FakeClock clock = new();
            using AcpiPmBlock fresh = new(clock, _sci, _machine, timerBits: bits);
            clock.Advance(TimeSpan.FromSeconds(seconds));
            ulong expected = (ulong)((UInt128)TimeSpan.FromSeconds(seconds).Ticks * 3579545 / 10_000_000) & mask;
            Assert.Equal(expected, fresh.In32(8));
        }

        block.Out32(8, 5);
        Assert.Equal(0u, block.In32(8));
    }

    [Fact]
    public void The_timer_can_be_read_in_bytes()
    {
        using AcpiPmBlock block = Make();
        _clock.Advance(TimeSpan.FromSeconds(100));
        Assert.Equal((byte)(357954500 >> 16 & 0xFF), block.In(10));
    }

    [Fact]
    public void The_power_button_raises_the_SCI_once_enabled_and_a_one_clears_it()
    {
        using AcpiPmBlock block = Make();
        block.PressPowerButton();
        Assert.False(_sci.Level);
        Out16(block, 2, 0x100);
        Assert.True(_sci.Level);
        Out16(block, 0, 0x400);
        Assert.Equal(0x100, In16(block, 0));
        Assert.True(_sci.Level);
        Out16(block, 0, 0x100);
        Assert.Equal(0, In16(block, 0));
        Assert.False(_sci.Level);
    }

    [Fact]
    public void A_byte_write_touches_only_its_byte()
    {
        using AcpiPmBlock block = Make();
        Out16(block, 2, 0x121);
        block.Out(3, 0x00);
        Assert.Equal(0x021, In16(block, 2));
        block.PressPowerButton();
        block.Out(0, 0xFF);
        Assert.Equal(0x100, In16(block, 0));
    }

    [Theory]
    [InlineData(AcpiPmBlock.SoftOffSleepType, true)]
    [InlineData(6, true)]
    [InlineData(5, false)]
    [InlineData(1, false)]
    [InlineData(0, true)]
    public void Soft_off_ends_the_machine_and_unsupported_sleep_wakes_at_once(int type, bool off)
    {
        using AcpiPmBlock block = Make();
        Out16(block, 4, type << 10);
        Assert.Empty(_machine.Requests);
        Out16(block, 4, type << 10 | 1 << 13);
        Assert.Equal(off ? [(MachineRequest.PowerOff, 0)] : [], _machine.Requests);
        Assert.Equal(off ? 0 : 0x8000, In16(block, 0) & 0x8000);
        Assert.Equal(type << 10 | 1, In16(block, 4));
    }

    [Fact]
    public void SCI_EN_stays_set_in_an_ACPI_only_machine()
    {
        using AcpiPmBlock block = Make();
        Out16(block, 4, 0);
        block.SetAcpiMode(false);
        Assert.Equal(1, In16(block, 4));
    }

    [Fact]
    public void The_command_port_switches_ACPI_mode_and_with_it_the_SCI()
    {
        using AcpiPmBlock block = Make(alwaysAcpi: false);
        PmCommandPort port = new(block);
        Out16(block, 2, 0x100);
        block.PressPowerButton();
        Assert.Equal(0, In16(block, 4));
        Assert.False(_sci.Level);
        port.Out(0, PmCommandPort.AcpiEnable);
        Assert.Equal(1, In16(block, 4));
        Assert.True(_sci.Level);
        port.Out(0, 0x77);
        Assert.True(_sci.Level);
        port.Out(0, PmCommandPort.AcpiDisable);
        Assert.False(_sci.Level);
        port.Out(1, 0x5A);
        Assert.Equal(0x5A, port.In(1));
        Assert.Equal(PmCommandPort.AcpiDisable, port.In(0));
    }

    [Fact]
    public void The_timer_status_is_set_when_its_top_bit_changes_and_interrupts_only_while_enabled()
    {
        using AcpiPmBlock block = Make(bits: 24);
        double half = (1 << 23) / 3579545.0;
        _clock.Advance(TimeSpan.FromSeconds(half * 0.99));
        Assert.Equal(0, In16(block, 0));
        Assert.Equal(0, _clock.ArmedTimers);
        _clock.Advance(TimeSpan.FromSeconds(half * 0.02));
        Assert.Equal(1, In16(block, 0));
        Out16(block, 0, 1);
        Assert.Equal(0, In16(block, 0));
        Out16(block, 2, 1);
        Assert.False(_sci.Level);
        _clock.Advance(TimeSpan.FromSeconds(half));
        Assert.True(_sci.Level);
        Out16(block, 0, 1);
        Assert.False(_sci.Level);
        _clock.Advance(TimeSpan.FromSeconds(half));
        Assert.True(_sci.Level);
    }

    [Fact]
    public void The_SCI_is_exactly_status_and_enable_over_both_blocks()
    {
        // The oracle keeps status and enable as sets of event numbers: 0-63 GPE, 64 the power button.
        Gen<(int Step, int Event, int Size)> steps =
            from step in Gen.Choose(0, 3)
            from number in Gen.Choose(0, 64)
            from size in Gen.Elements(1, 2, 4)
            select (step, number, size);
        Prop.ForAll(steps.ListOf(60).ToArbitrary(), list =>
        {
            FakeLine sci = new();
            using AcpiPmBlock block = new(new FakeClock(), sci, new FakeMachine());
            HashSet<int> status = [];
            HashSet<int> enabled = [];
            foreach ((int step, int number, int size) in list)
            {
                ulong bit = (ulong)(number < 64 ? number : 8);
                ulong blockAt = number < 64 ? 0x20UL : 0;
                ulong enableAt = number < 64 ? 0x28UL : 2;
                ulong lane = bit / 8 & ~(ulong)(Math.Min(size, number < 64 ? 4 : 2) - 1);
                int width = Math.Min(size, number < 64 ? 4 : 2);
                ulong one = 1UL << (int)(bit - (lane * 8));
                switch (step)
                {
                    case 0 when number < 64:
                        block.RaiseGeneralEvent(number);
                        status.Add(number);
                        break;
                    case 0:
                        block.PressPowerButton();
                        status.Add(number);
                        break;
                    case 1:
                        block.Write(blockAt + lane, width, one);
                        status.Remove(number);
                        break;
                    default:
                        block.Write(enableAt + lane, width, step == 2 ? one : 0);
                        int first = number < 64 ? (int)lane * 8 : 64;
                        int last = number < 64 ? first + (width * 8) - 1 : 64;
                        bool reaches = number < 64 || lane + (ulong)width > 1;
                        enabled.RemoveWhere(e => reaches && e >= first && e <= last);
                        if (step == 2)
                        {
                            enabled.Add(number);
                        }

                        break;
                }

                Assert.Equal(status.Overlaps(enabled), sci.Level);
            }
        }).Holds();
    }

    [Fact]
    public void Reset_clears_everything_but_says_that_no_SMI_handler_is_needed_and_deasserts_the_SCI()
    {
        using AcpiPmBlock block = Make();
        Out16(block, 2, 0x101);
        block.Out32(0x30, 0xABCD);
        block.PressPowerButton();
        block.RaiseGeneralEvent(5);
        Assert.Equal(0xABCDu, block.In32(0x30));
        block.Reset();
        Assert.False(_sci.Level);
        Assert.Equal(0u, block.In32(0));
        Assert.Equal(0u, block.In32(0x20));
        Assert.Equal(0x20u, block.In32(0x30));
        Assert.Equal(0, _clock.ArmedTimers);
    }

    [Fact]
    public void Without_system_management_mode_SMI_EN_starts_as_if_a_handler_stood_and_no_command_raises_anything()
    {
        using AcpiPmBlock block = Make();
        Assert.Equal(0x20u, block.In32(0x30));
        block.Out32(0x30, 0x21);
        Assert.False(block.NoteApmSmi());
        Assert.Equal(0u, block.In32(0x34));
    }

    [Theory]
    [InlineData(0x00u, false)]
    [InlineData(0x01u, false)]
    [InlineData(0x20u, false)]
    [InlineData(0x21u, true)]
    [InlineData(0xFFFF_FFFFu, true)]
    public void A_command_raises_an_SMI_when_SMI_EN_enables_all_and_this_one(uint enables, bool raised)
    {
        using AcpiPmBlock block = new(_clock, _sci, _machine, raisesSmi: true);
        int smis = 0;
        PmCommandPort port = new(block, () => smis++);
        Assert.Equal(0u, block.In32(0x30));
        block.Out32(0x30, enables);
        port.Out(0, 0x77);
        Assert.Equal((raised ? 1 : 0, raised ? 0x20u : 0), (smis, block.In32(0x34)));

        // The two that switch ACPI mode need no handler.
        port.Out(0, PmCommandPort.AcpiEnable);
        port.Out(0, PmCommandPort.AcpiDisable);
        port.Out(1, 0x77);
        Assert.Equal(raised ? 1 : 0, smis);
        block.Out32(0x34, 0x20);
        Assert.Equal(0u, block.In32(0x34));
    }

    [Fact]
    public void Once_locked_the_global_enable_stays_until_a_reset_and_the_others_do_not()
    {
        using AcpiPmBlock block = new(_clock, _sci, _machine, raisesSmi: true);
        block.Out32(0x30, 0x21);
        block.LockGlobalSmi();
        block.Out32(0x30, 0);
        Assert.Equal(0x01u, block.In32(0x30));
        block.Out32(0x30, 0x30);
        Assert.Equal(0x31u, block.In32(0x30));
        block.Reset();
        Assert.Equal(0u, block.In32(0x30));
        block.Out32(0x30, 0x21);
        block.Out32(0x30, 0x20);
        Assert.Equal(0x20u, block.In32(0x30));
    }
}
