using Aperture.Configuration;
using Aperture.Firmware.Uefi;
using Aperture.Machine.Boot;
using Aperture.Machine.Topology;
using Aperture.Placement.Map;
using Aperture.TestKit.Parts.Kernels;
using FsCheck.Fluent;

namespace Aperture.Machine.Tests;

/// <summary>How many address bits a guest gets under firmware, and where firmware is told to put its high BARs.</summary>
public class FirmwareAddressBitsTests
{
    private static int? Most(ushort? machine, int host, params string[] devices)
    {
        using TemporaryFile file = new(machine is { } type ? UefiImage.Of(type, terse: true) : new byte[0x4000]);
        Setting[] settings = [new("--firmware", file.Path), .. devices.Select(d => new Setting("--device", d))];
        return FirmwareAddressBits.Most(ConfigReader.Read(settings, boots: false), host);
    }

    [Theory]
    [InlineData(48, 41, "test,id=a,bar2=mem64p:64G:ram")]
    [InlineData(48, 42, "test,id=a,bar2=mem64p:256G:ram")]
    [InlineData(48, 46, "test,id=a,bar2=mem64p:64G:ram,bars=bar2@0x300000000000")]
    [InlineData(46, 42, "test,id=a,bar2=mem64p:256M:ram,bars=bar2@0x20000000000")]
    [InlineData(40, null, "test,id=a,bar2=mem64p:64G:ram")]
    public void Firmware_that_maps_in_small_pages_gets_as_few_bits_as_plan_and_window_need(int host, int? bits, string device) =>
        Assert.Equal(bits, Most(SecurityCore.Ia32, host, device));

    [Fact]
    public void What_is_no_image_is_left_to_who_loads_it_however_much_it_has_to_read() =>
        Assert.Null(FirmwareAddressBits.Most(ConfigReader.Read([new("--firmware", "/dev/zero")], boots: false), 48));

    [Fact]
    public void Other_firmware_and_what_the_user_says_stay_as_they_are()
    {
        Assert.Null(Most(SecurityCore.X64, 48));
        Assert.Null(Most(null, 48));
        Assert.Equal(47, FirmwareAddressBits.Most(ConfigReader.Read([new("--firmware", "absent"), new("--phys-bits", "47")], boots: false), 48));
        Assert.Null(FirmwareAddressBits.Most(ConfigReader.Read([new("--firmware", "absent")], boots: false), 48));
    }

    // The oracle asks of every number of bits below the answer whether it would have done, and of the answer that it does.
    [Fact]
    public void No_fewer_bits_would_do_and_these_do()
    {
        var cases = from log in Gen.Choose(28, 42)
                    from pin in Gen.Choose(0, 15)
                    select (Size: 1UL << log, Pin: (ulong)pin << 42);
        Prop.ForAll(cases.ToArbitrary(), wanted =>
        {
            string at = wanted.Pin == 0 ? "" : $",bars=bar2@0x{wanted.Pin:x}";
            string device = $"test,id=a,bar2=mem64p:{wanted.Size >> 20}M:ram{at}";
            MachineConfig config = ConfigReader.Read([new("--device", device)], boots: false);
            int? bits = Most(SecurityCore.Ia32, 47, device);
            for (int fewer = 41; fewer < (bits ?? 47); fewer++)
            {
                bool fits = MachineTopology.Of(config, Hypervisors.LimitsOf(fewer)).Result.Map is not null;
                Assert.False(fits && 2 * wanted.Size <= 1UL << (fewer - 3), $"{fewer} bits do for {device}");
            }

            Assert.True(bits is null || wanted.Pin + wanted.Size <= 1UL << bits);
        }).Holds(60);
    }

    [Theory]
    [InlineData("bar2=mem64p:256M:ram,bars=bar2@0x100000000", "bar2=mem64p:4G:ram", 0x1_4000_0000UL)]
    [InlineData("bar2=mem64p:256M:ram,bars=bar2@0x280000000", "bar2=mem64p:4G:ram", 0x2_C000_0000UL)]
    [InlineData("bar2=mem64p:256M:ram,bars=bar2@0x280000000", "bar2=mem32p:4K:ram", null)]
    [InlineData("bar2=mem64p:256M:ram,bars=bar2@0x300000000", "bar2=mem64p:4G:ram", null)]
    [InlineData("bar2=mem32p:1M:ram", "bar2=mem64p:4G:ram", null)]
    public void Firmware_that_packs_upwards_begins_behind_the_pins_that_are_in_its_way(string pinned, string free, ulong? from)
    {
        Setting[] settings = [new("--memory", "256M"), new("--device", $"test,id=a,{pinned}"), new("--device", $"test,id=b,{free}")];
        PlacementMap map = MachineTopology.Of(ConfigReader.Read(settings, boots: false), Hypervisors.LimitsOf(46)).Result.Require();
        Assert.Equal(from, ClearOfPins.From(map)?.Value);
    }
}
