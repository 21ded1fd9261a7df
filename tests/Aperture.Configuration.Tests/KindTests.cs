using System.Text;
using Aperture.Configuration.Kinds;
using Aperture.Configuration.Options;
using Aperture.Pci;
using Aperture.Placement.Request;
using FsCheck.Fluent;

namespace Aperture.Configuration.Tests;

/// <summary>What holds for every kind of device, in both spellings.</summary>
public class KindTests
{
    private static readonly string[] Kinds = ["test,id=t", "disk,file=x", "vga", "vfio,host=01:00.0", "vfio-user,socket=x"];

    private static DeviceSpec FromOption(string text) => Assert.Single(ConfigReader.Read([new("--device", text)], boots: false).Devices);

    private static DeviceSpec FromFile(string members) =>
        Assert.Single(ConfigReader.Read(ConfigFile.Parse(Encoding.UTF8.GetBytes($$"""{"devices": [{{{members}}}]}"""), "vm.json"), boots: false).Devices);

    private static string Refused(Func<DeviceSpec> read) => Assert.Throws<ApertureException>(() => read()).Message;

    [Fact]
    public void A_file_states_the_ids_of_a_test_device() =>
        Assert.Equal((0x8086, 0x10D3),
            (Assert.IsType<TestSpec>(FromFile("\"type\": \"test\", \"id\": \"t\", \"ids\": \"8086:10d3\"")).Ids!.Value is var ids
                ? (ids.Vendor, ids.Device) : default));

    [Theory]
    [InlineData("\"type\": \"vga\", \"bars\": {\"bar0\": \"0xe0000000\"}, \"policy\": \"stop\"")]
    [InlineData("\"type\": \"disk\", \"file\": \"x\", \"policy\": \"stop\", \"bars\": {\"bar0\": \"0xe0000000\"}")]
    public void A_file_states_the_policy_of_a_display_and_a_disk(string members)
    {
        PciDeviceSpec device = Assert.IsAssignableFrom<PciDeviceSpec>(FromFile(members));
        Assert.Equal(BarPinPolicy.Stop, device.Policy);
        Assert.Equal([new BarPin(0, new GuestAddress(0xE000_0000))], device.Pins);
    }

    [Theory]
    [InlineData("a,b.img")]
    [InlineData("/disks/[1],x=y/[]")]
    [InlineData("]")]
    [InlineData("bar0@0x1000,")]
    public void A_file_names_any_path(string path)
    {
        string text = path.Replace("\\", "\\\\", StringComparison.Ordinal);
        Assert.Equal(path, Assert.IsType<DiskSpec>(FromFile($"\"type\": \"disk\", \"file\": \"{text}\"")).File);
        Assert.Equal(path, Assert.IsType<VgaSpec>(FromFile($"\"type\": \"vga\", \"rom\": \"none\", \"text\": \"{text}\"")).TextFile);
        Assert.Equal(path, Assert.IsType<DebugConsoleSpec>(FromFile($"\"type\": \"debugcon\", \"file\": \"{text}\"")).File);
        Assert.Equal(path, Assert.IsType<VfioSpec>(FromFile($"\"type\": \"vfio\", \"host\": \"01:00.0\", \"rom\": \"{text}\"")).RomFile);
        Assert.Equal(path, Assert.IsType<VfioSpec>(FromFile($"\"type\": \"vfio\", \"sysfs\": \"{text}\"")).Device.SysfsPath);
    }

    [Fact]
    public void The_command_line_names_a_path_with_a_comma_in_brackets()
    {
        Assert.Equal("a,b.img", Assert.IsType<DiskSpec>(FromOption("disk,file=[a,b.img],readonly=on")).File);
        Assert.Equal("[x]", Assert.IsType<DiskSpec>(FromOption("disk,file=[[x]]")).File);
    }

    [Fact]
    public void A_number_after_pins_is_an_option_of_its_own()
    {
        Assert.Equal(4, Assert.IsType<TestSpec>(FromOption("test,id=t,bar0=mem32:64K,bars=bar0@0xe0000000,msi=4")).MsiVectors);
        Assert.Equal(1, Assert.IsType<DiskSpec>(FromOption("disk,file=x,bars=bar0=0xe0000000,bootindex=1")).BootIndex);
    }

    [Fact]
    public void No_option_of_any_kind_is_taken_for_a_pin_of_the_list_before_it()
    {
        IEnumerable<DeviceKind> kinds = DeviceKinds.All.Where(k => k.Table.Entries.Any(e => e.Key == "bars"));
        (string Word, OptionEntry Entry)[] options = [.. kinds.SelectMany(k => k.Table.Entries.Where(e => !e.Shape.IsMap).Select(e => (k.Word, e)))];
        Assert.Contains(options, o => o.Entry.Key == "x_nv_gpudirect_clique");
        var cases =
            from option in Gen.Elements(options)
            from number in Gen.Choose(0, int.MaxValue)
            from form in Gen.Elements("{0}", "0x{0:x}", "{0}K")
            from list in Gen.Elements("bar0@0xe0000000", "bar0=0xe0000000", "all=host", "bar0@0xe0000000,bar2=host", "bar0=host,bar2=4096,rom@0x1000")
            from key in Gen.Elements("bars", "fixed-bars")
            select (option.Word, option.Entry, Text: string.Format(System.Globalization.CultureInfo.InvariantCulture, form, number), List: list, Pins: key);
        Prop.ForAll(cases.ToArbitrary(), drawn =>
        {
            // A BAR's value never is a number alone: it says the kind first.
            string text = drawn.Entry.Shape == OptionShape.Bar || drawn.Entry.Shape == OptionShape.VfBar ? "mem32:" + drawn.Text : drawn.Text;
            OptionList list = OptionList.Parse("--device", $"{drawn.Word},{drawn.Pins}={drawn.List},{drawn.Entry.Key}={text},id=last");
            Assert.Equal([(drawn.Pins, drawn.List), (drawn.Entry.Key, text), ("id", "last")], list.Items.Select(i => (i.Key, i.Text)));
        }).Holds(2000);
    }

    [Theory]
    [InlineData("x_nv_gpudirect_clique=0", 0, null)]
    [InlineData("port=5", null, "5")]
    public void The_options_of_a_passed_device_come_in_any_order(string option, int? clique, string? port)
    {
        VfioSpec spec = Assert.IsType<VfioSpec>(FromOption($"vfio,host=0000:04:00.0,bars=all=host,{option}"));
        Assert.Equal((true, clique, port), (spec.AllAsHost, spec.GpuDirectClique, spec.Port));
        spec = Assert.IsType<VfioSpec>(FromOption("vfio,bars=bar0=host,fd=7"));
        Assert.Equal((7, 0), (spec.Device.Descriptor, Assert.Single(spec.HostPins)));
    }

    [Fact]
    public void What_no_command_line_can_say_is_not_misread_there()
    {
        Setting setting = Assert.Single(ConfigFile.Parse("""{"devices": [{"type": "disk", "file": "a],b"}]}"""u8, "vm.json"));
        Assert.Contains("cannot be said on a command line", Assert.Throws<ApertureException>(() => setting.Text).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Every_kind_refuses_an_id_in_the_same_words_in_both_spellings()
    {
        foreach (string kind in Kinds)
        {
            string option = Refused(() => FromOption(kind.Replace(",id=t", "", StringComparison.Ordinal) + ",id=a b"));
            Assert.Contains("id=a b: an id has 1 to 64 letters, digits, dashes, dots and underscores.", option, StringComparison.Ordinal);
            Assert.Equal("vm.json:1: $.devices[0]: " + option, Refused(() => FromFile(Members(kind) + ", \"id\": \"a b\"")));
        }

        foreach (string option in new[] { "--root-port id=a b", "--switch id=a b,port=rp0" })
        {
            string[] parts = option.Split(' ', 2);
            Assert.Contains("id=a b: an id has 1 to 64 letters",
                Assert.Throws<ApertureException>(() => ConfigReader.Read([new(parts[0], parts[1])], boots: false)).Message, StringComparison.Ordinal);
        }
    }

    [Fact]
    public void Every_kind_refuses_a_BAR_that_is_pinned_twice()
    {
        foreach (string kind in Kinds.Append("test,id=u,bar0=mem32:4K"))
        {
            Assert.Contains("bar0 is pinned twice; give it one address.", Refused(() => FromOption(kind + ",bars=bar0@0xe0000000,bar0@0xe1000000")),
                StringComparison.Ordinal);
            Assert.Contains("bar0 is pinned twice; give it one address.", Refused(() => FromOption(kind + ",bars=bar0@0xe0000000,fixed-bars=bar0@0xe0000000")),
                StringComparison.Ordinal);
        }
    }

    [Fact]
    public void Every_kind_refuses_a_policy_without_a_pin_and_an_unknown_one()
    {
        foreach (string kind in Kinds)
        {
            Assert.Contains("policy=follow says what happens when the guest moves a pinned BAR, and none is pinned",
                Refused(() => FromOption(kind + ",policy=follow")), StringComparison.Ordinal);
            Assert.Contains("policy=stay is not a policy; write lock, follow or stop.", Refused(() => FromOption(kind + ",policy=stay")),
                StringComparison.Ordinal);
        }
    }

    [Fact]
    public void Every_kind_says_which_options_it_has()
    {
        foreach (DeviceKind kind in DeviceKinds.All)
        {
            string example = kind.Word switch
            {
                "test" => "test,id=t",
                "vfio" => "vfio,host=01:00.0",
                "vfio-user" => "vfio-user,socket=x",
                "vga" => "vga",
                "debug-exit" or "pc-testdev" => kind.Word,
                _ => kind.Word + ",file=x",
            };
            Assert.Equal(kind, FromOption(example).Kind);
            string fault = Refused(() => FromOption(example + ",wombat=1"));
            Assert.Contains("there is no option wombat=; ", fault, StringComparison.Ordinal);
            Assert.All(kind.Table.Entries.Where(e => e.Shown is not null), e => Assert.Contains(e.Shown!, fault, StringComparison.Ordinal));
            if (kind.Table.Entries.Count == 0)
            {
                Assert.Contains("it takes none.", fault, StringComparison.Ordinal);
                continue;
            }

            Assert.Contains("is given twice; give it once.", Refused(() => FromOption(Twice(example, kind))), StringComparison.Ordinal);
        }
    }

    [Fact]
    public void The_files_that_a_guest_writes_are_known()
    {
        MachineConfig config = ConfigReader.Read(
        [
            new("--firmware", "fw,vars=vars,template=t"), new("--events", "e"), new("--screenshot", "s"), new("--serial", "file=log"),
            new("--device", "disk,file=w"), new("--device", "disk,file=r,readonly=on"), new("--device", "disk,file=o,snapshot=on"),
            new("--device", "vga,rom=none,text=screen"), new("--device", "debugcon,file=d"),
        ]);
        Assert.Equal(["e", "log", "s", "vars", "w", "screen", "d"], config.Files.Where(f => f.Access == HostAccess.Write).Select(f => f.Path));
        Assert.Equal(["fw", "t", "r", "o"], config.Files.Where(f => f.Access == HostAccess.Read).Select(f => f.Path));
    }

    private static string Twice(string example, DeviceKind kind)
    {
        OptionEntry entry = kind.Table.Entries.First(e => !e.Repeatable);
        string value = entry.Key switch { "host" => "01:00.0", "port" => "5", _ => "x" };
        string once = example.Contains(entry.Key + "=", StringComparison.Ordinal) ? example : $"{example},{entry.Key}={value}";
        return $"{once},{entry.Key}={value}";
    }

    private static string Members(string kind) => string.Join(", ", kind.Split(',').Select((item, i) => i == 0 ? $"\"type\": \"{item}\"" : item)
        .Where(item => item != "id=t")
        .Select(item => item.Contains('=', StringComparison.Ordinal) ? $"\"{item.Split('=')[0]}\": \"{item.Split('=')[1]}\"" : item));
}
