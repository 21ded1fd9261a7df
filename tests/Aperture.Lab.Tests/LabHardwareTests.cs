using System.Text;
using Aperture.Lab.Hardware;

namespace Aperture.Lab.Tests;

public sealed class LabHardwareTests
{
    private static readonly LabDevice[] Every =
    [
        new LabRootPort("port", 0x10),
        new LabSwitch("switch", "port", 3),
        new LabNvme("drive", "switch.0"),
        new LabNetwork("nic", "switch.1", LabNetworkKind.E1000e),
        new LabNetwork("igb", "switch.2", LabNetworkKind.Igb),
        new LabRootPort("other", 0x11),
        new LabEdu("edu", 0x12),
    ];

    /// <summary>The properties of each <c>-device</c>: model first, then name=value.</summary>
    private static List<string[]> DevicesOf(LabHardware hardware, string folder = "/run")
    {
        string[] arguments = [.. hardware.Arguments(folder)];
        return [.. arguments.Zip(arguments.Skip(1)).Where(pair => pair.First == "-device").Select(pair => pair.Second.Split(','))];
    }

    private static string? Property(string[] device, string name) =>
        Array.Find(device, part => part.StartsWith(name + "=", StringComparison.Ordinal))?[(name.Length + 1)..];

    [Fact]
    public void Every_device_sits_below_a_port_that_comes_before_it_and_on_a_place_of_its_own()
    {
        foreach (LabHardware hardware in LabHardware.Named.Append(new LabHardware("every", Every)))
        {
            HashSet<string> buses = ["pcie.0"], places = [], chassis = [], names = [];
            foreach (string[] device in DevicesOf(hardware))
            {
                Assert.Contains(Property(device, "bus")!, buses);
                Assert.True(places.Add($"{Property(device, "bus")} {Property(device, "addr") ?? "0"}"), string.Join(',', device));
                Assert.True(Property(device, "chassis") is not { } number || chassis.Add(number), string.Join(',', device));
                Assert.True(names.Add(Property(device, "id")!), string.Join(',', device));
                if (device[0].Contains("port", StringComparison.Ordinal) || device[0].Contains("stream", StringComparison.Ordinal))
                {
                    buses.Add(Property(device, "id")!);
                }
            }
        }
    }

    [Fact]
    public void The_passthrough_set_is_found_by_name_and_a_wrong_name_is_told_the_right_ones()
    {
        Assert.Same(LabHardware.Passthrough, LabHardware.Find("passthrough"));
        ApertureException failure = Assert.Throws<ApertureException>(() => LabHardware.Find("passthru"));
        Assert.Contains("'passthru'; it has passthrough", failure.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_new_drive_starts_with_a_pattern_in_which_every_sector_is_different_and_goes_on_with_zeros()
    {
        using LabFolder folder = new();
        new LabNvme("drive", "port").MakeFiles(folder.Root);
        using FileStream image = File.OpenRead(Assert.Single(Directory.GetFiles(folder.Root)));
        Assert.Equal(LabNvme.SizeBytes, image.Length);
        byte[] bytes = new byte[LabNvme.PatternBytes + 512];
        image.ReadExactly(bytes);
        HashSet<string> sectors = [];
        for (int at = 0; at < LabNvme.PatternBytes; at += 512)
        {
            Assert.True(sectors.Add(Encoding.Latin1.GetString(bytes, at, 512)));
        }

        Assert.StartsWith("APERTURE drive sector 00000000000000ff\n", Encoding.Latin1.GetString(bytes, 255 * 512, 512), StringComparison.Ordinal);
        Assert.Equal(-1, bytes.AsSpan(LabNvme.PatternBytes).IndexOfAnyExcept((byte)0));
    }

    [Fact]
    public void A_named_image_stays_as_it_is_and_commas_in_its_path_are_doubled()
    {
        using LabFolder folder = new();
        LabNvme drive = new("drive", "port") { Image = "/images/a,b.img" };
        drive.MakeFiles(folder.Root);
        Assert.Empty(Directory.GetFiles(folder.Root));
        string value = Assert.Single(new LabHardware("one", [drive]).Arguments(folder.Root), a => a.StartsWith("file=", StringComparison.Ordinal));
        Assert.StartsWith("file=/images/a,,b.img,", value, StringComparison.Ordinal);
        Assert.EndsWith(",snapshot=on", value, StringComparison.Ordinal);
    }

    [Fact]
    public async Task What_the_emulator_cannot_model_is_left_out_and_named()
    {
        // The query for igb fails; a start records its arguments and ends.
        using FakeEmulator fake = new("""case "$*" in "-device igb,help") exit 1;; esac; echo "$*" >"$(dirname "$0")/arguments"; echo stop >&2; exit 1""");
        LabRun run = new("/bin/true", []) { Hardware = new LabHardware("every", Every), StartRetries = 0 };
        await Assert.ThrowsAsync<ApertureException>(() => fake.Runner().CaptureAsync(run, retries: 0, TestContext.Current.CancellationToken));
        string started = File.ReadAllText(Path.Combine(Path.GetDirectoryName(fake.Program)!, "arguments"));
        Assert.Contains("e1000e,id=nic", started, StringComparison.Ordinal);
        Assert.DoesNotContain("igb", started, StringComparison.Ordinal);
        Assert.Contains("cannot model igb", fake.Progress.ToString(), StringComparison.Ordinal);
    }

    [Fact]
    public void Functions_are_bound_before_the_command_which_does_not_begin_if_that_fails()
    {
        string script = CommandScript.Build(new LabRun("/bin/true", []) { VfioFunctions = ["0000:03:00.0", "0000:06:00.0/2"] });
        Assert.Contains("bind-vfio '0000:03:00.0' '0000:06:00.0/2' >&2 || exit 3\nexec '/bin/true'", script, StringComparison.Ordinal);
    }
}
