using System.Text;
using FsCheck;
using FsCheck.Fluent;

namespace Aperture.Configuration.Tests;

public class ConfigFileTests
{
    private static readonly string Corpus = Path.Combine(AppContext.BaseDirectory, "corpus", "config");

    [Fact]
    public void Every_member_becomes_the_option_that_says_the_same()
    {
        IReadOnlyList<Setting> options = ConfigFile.Parse(Read("everything.json"), "vm.json");
        Assert.Equal(
            [
                "--kernel vmlinuz",
                "--initramfs initrd.gz",
                "--cmdline console=ttyS0, quiet [x]",
                "--cpus boot=4",
                "--memory size=8G,hugepages=on",
                "--machine q35",
                "--serial file=/tmp/serial",
                "--events events.jsonl",
                "--accel kvm",
                "--no-reboot ",
                "--phys-bits 47",
                "--mmio-window 0x600000000000:16T",
                "--mmio32-window 0xc0000000:512M",
                "--root-port id=rp0,addr=04.0",
                "--root-port id=rp1",
                "--switch id=sw0,port=rp0,downstream=2",
                "--device test,id=t0,port=sw0.0,bar0=mem32:1M:trap,bar2=mem64p:64G:ram,bar4=io:256,rom=64K,msi=4,msix=16,"
                    + "bars=bar2@0x6b8000000000,rom@0xc8000000",
                "--device debug-exit,port=0xf4",
            ],
            options.Select(o => o.ToString()));
        MachineConfig config = ConfigReader.Read(options);
        Assert.Equal(8UL << 30, config.MemorySize);
        Assert.Equal(2, config.Devices.Count);
    }

    [Fact]
    public void The_command_line_overrides_single_options_and_adds_to_lists()
    {
        using TemporaryFile scratch = new([]);
        string path = scratch.Path;
        File.WriteAllText(path, """{"memory": "4G", "kernel": "a", "root_ports": [{"id": "rp0"}]}""");
        MachineConfig config = ConfigReader.Read(ConfigFile.Expand([new("--memory", "8G"), new("--root-port", "id=rp1"), new("--config", path)]));
        Assert.Equal(8UL << 30, config.MemorySize);
        Assert.Equal("a", config.Kernel);
        Assert.Equal(["rp0", "rp1"], config.RootPorts.Select(p => p.Id));
    }

    [Theory]
    [InlineData("{\n \"memroy\": 1}", "vm.json:2: $.memroy: a configuration has no member \"memroy\"; did you mean \"memory\"?")]
    [InlineData("{\"memory\":\n{\"size\": \"8G\", \"hugepage\": true}}",
        "vm.json:2: $.memory.hugepage: memory has no member \"hugepage\"; did you mean \"hugepages\"?")]
    [InlineData("{\"memory\": []}", "vm.json:1: $.memory: an array cannot stand here; write a string or a number.")]
    [InlineData("{\"reboot\": 1}", "vm.json:1: $.reboot: a number cannot stand here; write true or false.")]
    [InlineData("[]", "vm.json:1: $: an array cannot stand here; write an object.")]
    [InlineData("{\"devices\": [\n{\"type\": \"test\", \"id\": \"t0\", \"bar0\": \"mem32:3M\"}]}", "vm.json:2: $.devices[0]: test device t0: bar0=mem32:3M: ")]
    [InlineData("{\"devices\": [{\"id\": \"t0\"}]}",
        "vm.json:1: $.devices[0]: a device needs a \"type\": test, vfio, vfio-user, disk, vga, debug-exit, debugcon, pc-testdev.")]
    [InlineData("{\"root_ports\": [{\"id\": \"a\"},\n{\"id\": \"b,addr=1\"}]}",
        "vm.json:2: $.root_ports[1].id: 'b,addr=1' has a comma or a bracket, which no value here can have.")]
    [InlineData("{\"memory\": \"4G\",\n\"memory\": \"8G\"}", "vm.json:2: $: \"memory\" is given twice; give it once.")]
    [InlineData("{\"cpus\": 1e3}", "vm.json:1: $.cpus: ")]
    [InlineData("{\"mmio_window\": {\"base\": \"0\"}}", "vm.json:1: $.mmio_window: a window needs \"size\"")]
    [InlineData("{\n\n  \"kernel\": nul}", "vm.json:3: $: not JSON: ")]
    [InlineData("", "vm.json:1: $: not JSON: ")]
    public void A_fault_names_file_line_and_path_in_one_line(string json, string start)
    {
        ApertureException fault = Assert.Throws<ApertureException>(() => ConfigFile.Parse(Encoding.UTF8.GetBytes(json), "vm.json"));
        Assert.StartsWith(start, fault.Message, StringComparison.Ordinal);
        Assert.Equal(ApertureException.ConfigurationError, fault.ExitCode);
    }

    [Fact]
    public void A_file_that_is_missing_or_a_folder_is_one_sentence()
    {
        foreach (string path in new[] { "/nonexistent/vm.json", "/", "", "a\0b" })
        {
            ApertureException fault = Assert.Throws<ApertureException>(() => ConfigFile.Expand([new("--config", path)]));
            Assert.DoesNotContain('\n', fault.Message);
        }
    }

    [Fact]
    public void A_file_without_an_end_is_refused_and_not_read_for_ever()
    {
        ApertureException fault = Assert.Throws<ApertureException>(() => ConfigFile.Expand([new("--config", "/dev/zero")]));
        Assert.Contains("longer than 4M", fault.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Every_file_of_the_corpus_is_read_or_refused_in_one_line()
    {
        string[] files = Directory.GetFiles(Corpus);
        Assert.True(files.Length >= 12, "the corpus is missing");
        string[] good = ["empty.json", "everything.json", "mark.json"];
        foreach (string file in files)
        {
            Assert.Equal((Path.GetFileName(file), good.Contains(Path.GetFileName(file))), (Path.GetFileName(file), Accepts(File.ReadAllBytes(file))));
        }
    }

    [Fact]
    public void Mutated_files_are_read_or_refused_in_one_line()
    {
        string[] files = Directory.GetFiles(Corpus);
        Gen<byte[]> texts = from file in Gen.Elements(files)
                            from seed in Gen.Choose(0, int.MaxValue)
                            select Mutate(File.ReadAllBytes(file), seed);
        Prop.ForAll(texts.ToArbitrary(), text =>
        {
            Accepts(text);
        }).Holds(3000);
    }

    [Fact]
    public void Random_json_of_the_right_shape_is_read_or_refused_in_one_line()
    {
        int accepted = 0;
        Prop.ForAll(Gen.Choose(0, int.MaxValue).ToArbitrary(), seed =>
        {
            accepted += Accepts(Encoding.UTF8.GetBytes(new RandomConfig(seed).Text())) ? 1 : 0;
        }).Holds(3000);
        Assert.True(accepted > 30, $"only {accepted} random files were legal, so the test says little");
    }

    private static byte[] Read(string name) => File.ReadAllBytes(Path.Combine(Corpus, name));

    // What the file says goes through the options' own reader too: an accepted file never fails there in any other way.
    private static bool Accepts(byte[] text)
    {
        try
        {
            ConfigReader.Read(ConfigFile.Parse(text, "vm.json"), boots: false);
            return true;
        }
        catch (ApertureException fault)
        {
            Assert.DoesNotContain(fault.Message, char.IsControl);
            Assert.Equal(ApertureException.ConfigurationError, fault.ExitCode);
            return false;
        }
    }

    private static byte[] Mutate(byte[] text, int seed)
    {
        Random random = new(seed);
        List<byte> bytes = [.. text.Take(4096)];
        for (int i = random.Next(1, 5); i > 0; i--)
        {
            int at = random.Next(bytes.Count + 1);
            int length = Math.Min(random.Next(1, 30), bytes.Count - at);
            switch (random.Next(5))
            {
                case 0:
                    bytes.RemoveRange(at, length);
                    break;
                case 1:
                    bytes.InsertRange(at, [.. bytes.GetRange(random.Next(bytes.Count - length + 1), length)]);
                    break;
                case 2:
                    bytes.Insert(at, (byte)random.Next(256));
                    break;
                case 3:
                    bytes.Insert(at, (byte)"{}[]\",:\\0-eu"[random.Next(12)]);
                    break;
                default:
                    bytes.RemoveRange(at, bytes.Count - at);
                    break;
            }
        }

        return [.. bytes];
    }
}
