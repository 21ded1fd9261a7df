using System.Globalization;
using System.Text;
using System.Text.Json;
using Aperture.Configuration.Kinds;
using Aperture.Pci;
using Aperture.Placement.Request;
using FsCheck.Fluent;

namespace Aperture.Configuration.Tests;

/// <summary>A configuration that is drawn typed, written down both ways by this test, and read back.</summary>
public class SpellingTests
{
    [Fact]
    public void A_configuration_written_as_JSON_and_as_options_reads_as_the_same_typed_value()
    {
        Prop.ForAll(Gen.Choose(0, int.MaxValue).ToArbitrary(), seed =>
        {
            DrawnConfig drawn = new(seed);
            MachineConfig fromOptions = ConfigReader.Read(drawn.Options, boots: false);
            IReadOnlyList<Setting> file = ConfigFile.Parse(Encoding.UTF8.GetBytes(drawn.Json), "vm.json");
            MachineConfig fromFile = ConfigReader.Read(file, boots: false);
            string expected = Describe(drawn.Config);
            Assert.Equal(expected, Describe(fromOptions));
            Assert.Equal(expected, Describe(fromFile));

            // What the lab's machine is told: the file's settings, spelled as options.
            Assert.Equal(expected, Describe(ConfigReader.Read(file.Select(s => new Setting(s.Name, s.Text)), boots: false)));
        }).Holds(500);
    }

    private static string Describe(MachineConfig config) => JsonSerializer.Serialize(config with { Devices = [] })
        + string.Concat(config.Devices.Select(d => $"\n{d.GetType().Name} {JsonSerializer.Serialize<object>(d, Fields)}"));

    private static readonly JsonSerializerOptions Fields = new() { IncludeFields = true };

    /// <summary>One random configuration and its two spellings.</summary>
    private sealed class DrawnConfig
    {
        private static readonly string[] Paths = ["a.img", "/a b/c.img", "a,b.img", "x=1,bar0@0x1000", "/[d]/e,f", "[x]", "é.img"];
        private readonly Random _random;
        private readonly List<Setting> _options = [];
        private readonly List<string> _members = [];

        public DrawnConfig(int seed)
        {
            _random = new Random(seed);
            Config = new MachineConfig();
            Memory();
            Ports();
            List<string> devices = [];
            for (int i = _random.Next(4); i >= 0; i--)
            {
                devices.Add(Device(i));
            }

            _members.Add($"\"devices\": [{string.Join(", ", devices)}]");
        }

        public MachineConfig Config { get; private set; }

        public IReadOnlyList<Setting> Options => _options;

        public string Json => "{" + string.Join(",\n", _members) + "}";

        private bool Maybe => _random.Next(2) == 0;

        private void Memory()
        {
            ulong size = (ulong)_random.Next(1, 64) << 20;
            bool huge = Maybe;
            int cpus = _random.Next(1, 65);
            Config = Config with { MemorySize = size, HugePages = huge, Cpus = cpus };
            _options.Add(new("--memory", $"size={ByteSize.Format(size)}" + (huge ? ",hugepages=on" : "")));
            _members.Add($"\"memory\": {{\"size\": {(Maybe ? size.ToString(CultureInfo.InvariantCulture) : $"\"{ByteSize.Format(size)}\"")}, \"hugepages\": "
                + $"{(huge ? "true" : "\"off\"")}}}");
            _options.Add(new("--cpus", Maybe ? $"boot={cpus}" : $"{cpus}"));
            _members.Add(Maybe ? $"\"cpus\": {cpus}" : $"\"cpus\": {{\"boot\": \"{cpus}\"}}");
            if (Maybe)
            {
                Config = Config with { Reboot = false, Serial = SerialKind.File, SerialPath = Paths[2] };
                _options.Add(new("--no-reboot", ""));
                _options.Add(new("--serial", "file=" + Paths[2]));
                _members.Add($"\"reboot\": false, \"serial\": \"file={Paths[2]}\"");
            }
        }

        private void Ports()
        {
            List<string> ports = [];
            for (int i = _random.Next(3); i > 0; i--)
            {
                byte place = (byte)(_random.Next(32) << 3);
                ulong kept = (ulong)_random.Next(1, 64) << 20;
                Config = Config with
                {
                    RootPorts =
                    [
                        .. Config.RootPorts,
                        new RootPortConfig($"rp{i}", place) { Room = new PortRoom(new HotplugReserve { Memory = kept }, null, null) },
                    ],
                };
                _options.Add(new("--root-port", $"memory={kept},id=rp{i},addr={place >> 3:x2}.0"));
                ports.Add($"{{\"id\": \"rp{i}\", \"memory\": {kept}, \"addr\": \"{place >> 3:x2}.0\"}}");
            }

            _members.Add($"\"root_ports\": [{string.Join(", ", ports)}]");
        }

        private string Device(int number)
        {
            List<(string Key, string Text, string Json)> items = [];
            PciPart pci = Pci(number, items);
            DeviceSpec spec = _random.Next(5) switch
            {
                0 => Disk(pci, items),
                1 => Test(pci, items),
                2 => Vfio(pci, items),
                3 => Ports(items),
                _ => Console(items),
            };
            (string Key, string Text, string Json)[] shuffled = [.. items];
            _random.Shuffle(shuffled);
            Config = Config with { Devices = [.. Config.Devices, spec] };
            _options.Add(new("--device", string.Join(',', shuffled.Select(i => $"{i.Key}={i.Text}").Prepend(spec.Kind.Word))));
            return "{" + string.Join(", ", shuffled.Select(i => $"\"{i.Key}\": {i.Json}").Prepend($"\"type\": \"{spec.Kind.Word}\"")) + "}";
        }

        private sealed record PciPart(string Id, byte? Place, string? Port, IReadOnlyList<BarPin> Pins, BarPinPolicy Policy);

        private PciPart Pci(int number, List<(string Key, string Text, string Json)> items)
        {
            string id = $"d-{number}.x_";
            Add(items, "id", id);
            byte? place = Maybe ? (byte)_random.Next(8) : null;
            if (place is { } at)
            {
                Add(items, "addr", $"00.{at}");
            }

            string? port = Maybe ? "rp1" : null;
            if (port is not null)
            {
                Add(items, "port", port);
            }

            List<BarPin> pins = [];
            BarPinPolicy policy = default;
            if (Maybe)
            {
                GuestAddress address = new((ulong)_random.Next(1, 1 << 20) << 12);
                pins.Add(new BarPin(0, address));
                items.Add((Maybe ? "bars" : "fixed-bars", $"bar0@{address}", $"{{\"bar0\": \"{address}\"}}"));
                policy = (BarPinPolicy)_random.Next(3);
                Add(items, "policy", policy.ToString().ToLowerInvariant());
            }

            return new PciPart(id, place, port, pins, policy);
        }

        private DiskSpec Disk(PciPart pci, List<(string Key, string Text, string Json)> items)
        {
            string path = Paths[_random.Next(Paths.Length)];
            AddFree(items, "file", path);
            bool readOnly = Maybe;
            items.Add(("readonly", readOnly ? "on" : "off", readOnly ? "true" : "\"off\""));
            int? boot = Maybe ? _random.Next(256) : null;
            if (boot is { } index)
            {
                items.Add(("bootindex", $"0x{index:x}", $"{index}"));
            }

            string? serial = Maybe ? "S,1" : null;
            if (serial is not null)
            {
                AddFree(items, "serial", serial);
            }

            return new DiskSpec
            {
                Id = pci.Id,
                DeviceFunction = pci.Place,
                Port = pci.Port,
                Pins = pci.Pins,
                Policy = pci.Policy,
                File = path,
                ReadOnly = readOnly,
                BootIndex = boot,
                Serial = serial,
            };
        }

        private TestSpec Test(PciPart pci, List<(string Key, string Text, string Json)> items)
        {
            items.Add(("bar0", "mem64p:64G:ram", "\"mem64p:0x1000000000:ram\""));
            items.Add(("bar2", "mem32:1M", "\"mem32:1M:trap\""));
            int msi = 1 << _random.Next(6);
            int msix = _random.Next(1, 2049);
            items.Add(("msi", $"{msi}", $"{msi}"));
            items.Add(("msix", $"{msix}", $"\"{msix}\""));
            items.Add(("rom", "64K", "65536"));
            (ushort, ushort)? ids = Maybe ? ((ushort)0x8086, (ushort)_random.Next(0x10000)) : null;
            if (ids is { } both)
            {
                Add(items, "ids", $"{both.Item1:x4}:{both.Item2:x4}");
            }

            ushort vfs = (ushort)(Maybe ? _random.Next(1, 257) : 0);
            if (vfs != 0)
            {
                items.Add(("vfs", $"0x{vfs:x}", $"{vfs}"));
                items.Add(("vf-bar1", "mem32p:16K", "\"mem32p:0x4000\""));
                items.Add(("vf-stride", "2", "\"2\""));
            }

            return new TestSpec
            {
                Id = pci.Id,
                DeviceFunction = pci.Place,
                Port = pci.Port,
                Pins = pci.Pins,
                Policy = pci.Policy,
                Ids = ids,
                Vfs = vfs,
                VfRegisters = vfs == 0 ? [] : [new TestBar(BarIndex.Vf0 + 1, BarKind.Memory32Prefetchable, 16 << 10, false)],
                VfStride = (ushort)(vfs == 0 ? 1 : 2),
                MsiVectors = msi,
                MsixVectors = msix,
                RomSize = 64 << 10,
                Registers = [new(0, BarKind.Memory64Prefetchable, 64UL << 30, true), new(2, BarKind.Memory32, 1 << 20, false)],
            };
        }

        private VfioSpec Vfio(PciPart pci, List<(string Key, string Text, string Json)> items)
        {
            PciAddress address = new((uint)_random.Next(2), new Bdf((byte)_random.Next(256), (byte)_random.Next(32), (byte)_random.Next(8)));
            Add(items, "host", address.ToString());
            VfioSpec spec = new()
            {
                Id = pci.Id,
                DeviceFunction = pci.Place,
                Port = pci.Port,
                Pins = pci.Pins,
                Policy = pci.Policy,
                Device = new HostDeviceName(address, null, null)
            };
            if (Maybe)
            {
                items.Add(("resize", "[bar1@16G,bar4@256M]", "{\"bar1\": \"16G\", \"bar4\": \"256M\"}"));
                spec = spec with { Resizes = [new(1, 16UL << 30), new(4, 256UL << 20)] };
            }

            if (Maybe)
            {
                string path = Paths[_random.Next(Paths.Length)];
                AddFree(items, "rom", path);
                spec = spec with { Rom = AssignedRom.File, RomFile = path };
            }

            return spec;
        }

        private DebugExitSpec Ports(List<(string Key, string Text, string Json)> items)
        {
            items.Clear();
            ushort port = (ushort)_random.Next(0xFFFC);
            items.Add(("port", $"0x{port:x}", $"{port}"));
            return new DebugExitSpec { Port = port };
        }

        private DebugConsoleSpec Console(List<(string Key, string Text, string Json)> items)
        {
            items.Clear();
            string path = Paths[_random.Next(Paths.Length)];
            AddFree(items, "file", path);
            return new DebugConsoleSpec { File = path };
        }

        private static void Add(List<(string Key, string Text, string Json)> items, string key, string text) => items.Add((key, text, $"\"{text}\""));

        // Brackets keep a comma on the command line; the file needs none.
        private static void AddFree(List<(string Key, string Text, string Json)> items, string key, string text) =>
            items.Add((key, text.Contains(',') || text[0] == '[' ? $"[{text}]" : text, $"\"{text}\""));
    }
}
