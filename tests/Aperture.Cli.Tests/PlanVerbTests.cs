using System.Diagnostics;
using System.Text.Json;
using System.Xml.Linq;
using Aperture.Cli.Verbs;

namespace Aperture.Cli.Tests;

/// <summary><c>aperture plan</c> as a user runs it: a process of its own, with what it prints and its exit code.</summary>
public class PlanVerbTests
{
    private static readonly string[] Machine = ["--phys-bits", "47", "--memory", "8G", "--root-port", "id=rp0", "--device",
        "test,id=t0,port=rp0,bar0=mem32:1M,bar2=mem64p:64G:ram,bar4=io:256,bars=bar2@0x6b8000000000"];

    [Theory]
    [InlineData("table", "FUNCTION  NAME")]
    [InlineData("tree", "pcie.0  segment 0000")]
    [InlineData("json", "{\n  \"format\": \"aperture-plan\"")]
    [InlineData("svg", "<svg ")]
    public async Task Every_format_is_printed_without_kvm_or_a_kernel(string format, string start)
    {
        (int code, string output, string errors) = await Run([.. Machine, "--format", format, "--kernel", "/nonexistent/vmlinuz"]);
        Assert.Equal((0, ""), (code, errors));
        Assert.StartsWith(start, output, StringComparison.Ordinal);
        Assert.Contains("0x6b8000000000", output, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("table", "03:00.0   a     bar2  mem64p   64G  0x6b8000000000-0x6b8fffffffff  sw.0 prefetchable  the user pinned it here")]
    [InlineData("tree", "pcie.0  segment 0000")]
    [InlineData("json", "\"ecam\": [")]
    [InlineData("svg", "<svg ")]
    public async Task The_virt_board_is_planned_with_pins_of_every_kind_and_without_anything_of_a_PC(string format, string part)
    {
        (int code, string output, string errors) = await Run(
            "--machine", "virt", "--memory", "2G", "--mmio-window", "0x400000000000:0x400000000000", "--root-port", "id=rp0", "--switch",
            "id=sw,port=rp0,downstream=3", "--device", "test,id=a,port=sw.0,bar0=mem32:1M,bar2=mem64p:64G:ram,bar4=io:256,bars=bar2@0x6b8000000000,bar4@0xc000",
            "--device", "test,id=b,port=sw.1,bar0=mem32:16M,bars=bar0@0x20000000", "--device", "test,id=c,port=sw.2,bar0=mem64:1M,bars=bar0@0x28000000",
            "--format", format);
        Assert.Equal((0, ""), (code, errors));
        Assert.Contains(part, output, StringComparison.Ordinal);
        Assert.DoesNotContain("KVM", output, StringComparison.Ordinal);
        Assert.DoesNotContain("I/O APIC", output, StringComparison.Ordinal);
    }

    [Fact]
    public async Task The_virt_board_is_not_emitted()
    {
        (int code, string output, string errors) = await Run("--machine", "virt", "--emit", "qemu");
        Assert.Equal((2, ""), (code, output));
        Assert.StartsWith("aperture: --emit qemu writes a PC, and --machine virt is none", errors, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Conflicts_are_one_line_each_with_exit_code_2_and_no_map()
    {
        (int code, string output, string errors) = await Run(
            "--phys-bits", "40", "--device", "test,id=a,bar2=mem64p:64G:ram,bars=bar2@0x6b8000000000", "--device",
            "test,id=b,bar2=mem64p:64G:ram,bars=bar2@0x6ba000000000");
        Assert.Equal((2, ""), (code, output));
        string[] lines = errors.Split('\n', StringSplitOptions.RemoveEmptyEntries);
        Assert.Equal(2, lines.Length);
        Assert.StartsWith("aperture: a bar2", lines[0], StringComparison.Ordinal);
        Assert.StartsWith("aperture: b bar2", lines[1], StringComparison.Ordinal);
    }

    [Fact]
    public async Task Conflicts_are_data_with_format_json()
    {
        (int code, string output, string errors) =
            await Run("--format", "json", "--phys-bits", "40", "--device", "test,id=a,bar2=mem64p:64G:ram,bars=bar2@0x6b8000000000");
        Assert.Equal(2, code);
        using JsonDocument json = JsonDocument.Parse(output);
        JsonElement conflict = Assert.Single(json.RootElement.GetProperty("conflicts").EnumerateArray());
        Assert.Equal("above-address-bits", conflict.GetProperty("kind").GetString());
        Assert.Equal("a", conflict.GetProperty("demand").GetProperty("function").GetString());
        Assert.Equal($"aperture: {conflict.GetProperty("sentence").GetString()}\n", errors);
    }

    [Theory]
    [InlineData("01:00.0/bar2")]
    [InlineData("0000:01:00.0/bar2")]
    [InlineData("t0/bar2")]
    public async Task A_bar_is_explained_by_its_functions_address_or_id(string question)
    {
        (int code, string output, string errors) = await Run([.. Machine, "--explain", question]);
        Assert.Equal((0, ""), (code, errors));
        Assert.Contains("0x6b8000000000", output, StringComparison.Ordinal);
        Assert.Contains("pinned", output, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("t0/bar1", "it has bar0, bar2, bar4")]
    [InlineData("t1/bar2", "did you mean t0?")]
    [InlineData("t0", "write FUNCTION/BAR")]
    [InlineData("rp0/bar0", "it has no BAR")]
    public async Task A_question_about_no_bar_is_one_sentence(string question, string part)
    {
        (int code, string output, string errors) = await Run([.. Machine, "--explain", question]);
        Assert.Equal((2, ""), (code, output));
        Assert.Contains(part, Assert.Single(errors.Split('\n', StringSplitOptions.RemoveEmptyEntries)), StringComparison.Ordinal);
    }

    [Fact]
    public async Task The_map_can_go_to_a_file_and_come_from_one()
    {
        using TemporaryFolder scratch = new();
        string folder = scratch.Path;
        string config = Path.Combine(folder, "vm.json");
        string picture = Path.Combine(folder, "map.svg");
        await File.WriteAllTextAsync(
            config,
            """
            {"memory": "8G", "phys_bits": 47, "devices": [{"type": "test", "id": "t0", "bar2": "mem64p:64G:ram", "bars": {"bar2": "0x6b8000000000"}}]}
            """,
            TestContext.Current.CancellationToken);
        Assert.Equal((0, "", ""), await Run("--config", config, "--format", "svg", "--output", picture));
        Assert.Equal("svg", XDocument.Load(picture).Root?.Name.LocalName);

        (int code, string output, string errors) = await Run("--config", config, "--device", "test,id=t1,bar0=mem32:1M", "--memory", "2G");
        Assert.Equal((0, ""), (code, errors));
        Assert.Contains("t0 ", output, StringComparison.Ordinal);
        Assert.Contains("t1 ", output, StringComparison.Ordinal);
        Assert.Contains("0x0-0x7fffffff ", output, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("--format png is not", "--format", "png")]
    [InlineData("cannot be written", "--output", "/nonexistent/folder/map")]
    [InlineData("cannot be read", "--config", "/nonexistent/vm.json")]
    public async Task A_wrong_option_is_one_sentence_with_exit_code_2(string part, params string[] options)
    {
        (int code, string output, string errors) = await Run(options);
        Assert.Equal((2, ""), (code, output));
        Assert.Contains(part, Assert.Single(errors.Split('\n', StringSplitOptions.RemoveEmptyEntries)), StringComparison.Ordinal);
    }

    [Fact]
    public async Task The_address_width_is_this_hosts_when_none_is_given_and_the_output_says_so()
    {
        (int code, string output, _) = await Run();
        Assert.Equal(0, code);
        Assert.Contains("physical address bits, those of this host's processor", output, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("address sizes\t: 46 bits physical, 48 bits virtual", 46)]
    [InlineData("address sizes: bits", null)]
    [InlineData("flags : pae", null)]
    public void The_kernels_line_about_address_sizes_is_understood(string line, int? bits) =>
        Assert.Equal(bits, HostAddressBits.FromCpuInfo(["processor : 0", line]));

    private static async Task<(int Code, string Output, string Errors)> Run(params string[] options)
    {
        ProcessStartInfo start = new("dotnet", [Path.Combine(AppContext.BaseDirectory, "aperture.dll"), "plan", .. options])
        {
            RedirectStandardOutput = true,
            RedirectStandardError = true,
            RedirectStandardInput = true,
        };
        using Process process = Process.Start(start) ?? throw new InvalidOperationException("aperture did not start");
        process.StandardInput.Close();
        CancellationToken cancel = TestContext.Current.CancellationToken;
        Task<string> output = process.StandardOutput.ReadToEndAsync(cancel);
        string errors = await process.StandardError.ReadToEndAsync(cancel);
        await process.WaitForExitAsync(cancel);
        return (process.ExitCode, await output, errors);
    }
}
