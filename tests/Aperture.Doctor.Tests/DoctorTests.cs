using System.Text;
using System.Text.Json;
using Aperture.Doctor.Output;
using Aperture.Host.Model;
using Aperture.TestKit.Parts.Hosts;

namespace Aperture.Doctor.Tests;

/// <summary>What holds for every diagnosis: its order, its evidence, its two forms, and that a capture tells all that the machine does.</summary>
public class DoctorTests
{
    [Fact]
    public void Every_verdict_has_evidence_and_what_is_wrong_a_cure()
    {
        using Machine machine = new Machine { SwitchAcs = null, DriveMessages = false, Aperture = 0 }.Build().Group(10, Machine.Nic);
        foreach (HostMachine host in (HostMachine[])[machine.Read(), Host.HostReader.ReadLspci(Say.Dump("0000:00:03.0", new ConfigBuilder(64).Bytes), "x")])
        {
            Diagnosis diagnosis = HostDoctor.Examine(host, [], Goals.All, static _ => []);
            Assert.All(diagnosis.Verdicts, verdict =>
            {
                Assert.NotEmpty(verdict.Seen);
                Assert.EndsWith(".", verdict.Means.TrimEnd(')'), StringComparison.Ordinal);
                Assert.NotEqual(Goals.None, verdict.Goals);
                Assert.True(verdict.Kind is not (VerdictKind.Cannot or VerdictKind.Should or VerdictKind.Unknown) || !verdict.Changes.IsEmpty
                    || verdict.Check is "acs", $"{verdict.Check}: {verdict.Means}");
            });
        }
    }

    [Fact]
    public void The_worst_comes_first()
    {
        using Machine machine = new Machine { Shown = 64 }.Build().Without("proc/cmdline").Group(10, Machine.Nic);
        machine.File("sys/kernel/mm/hugepages/hugepages-1048576kB/free_hugepages", "0\n");
        Diagnosis diagnosis = machine.Look(Goals.Passthrough, Machine.Gpu);
        Assert.Equal(diagnosis.Verdicts.Select(static verdict => verdict.Kind).Order(), diagnosis.Verdicts.Select(static verdict => verdict.Kind));
        Assert.Equal(VerdictKind.Cannot, diagnosis.Verdicts[0].Kind);
        Assert.Equal(VerdictKind.Good, diagnosis.Verdicts[^1].Kind);
        Assert.Equal(Enum.GetValues<VerdictKind>(), diagnosis.Verdicts.Select(static verdict => verdict.Kind).Distinct());
    }

    [Fact]
    public void A_capture_tells_all_that_the_machine_does()
    {
        using Machine machine = new Machine().Build().File("proc/self/cgroup", "0::/user.slice/someone\n").File("sys/fs/cgroup/user.slice/memory.max",
            "4294967296\n");
        Assert.Equal(Answers(machine.Read()), Answers(machine.ReadCaptured()));
        HostSystem told = machine.Read().System;
        Assert.NotNull(told.KernelParameters);
        Assert.NotNull(told.HugePages);
        Assert.NotNull(told.RootWindows);
        Assert.NotNull(told.Limits?.CgroupBytes);
    }

    [Fact]
    public void A_capture_tells_nothing_that_is_nobodys_business()
    {
        using Machine machine = new Machine().Build().File("proc/self/cgroup", "0::/user.slice/someone\n").File("sys/fs/cgroup/user.slice/memory.max",
            "max\n")
            .File("sys/class/dmi/id/product_serial", "SERIAL7\n").File("etc/modprobe.d/other.conf", "options wifi secret=1\n");
        using MemoryStream output = new();
        Host.Capture.HostCapture.Write(machine.Root, output);
        output.Position = 0;
        using System.IO.Compression.GZipStream plain = new(output, System.IO.Compression.CompressionMode.Decompress);
        using MemoryStream all = new();
        plain.CopyTo(all);
        string text = Encoding.Latin1.GetString(all.ToArray());
        Assert.Contains("intel_iommu=on", text, StringComparison.Ordinal);
        Assert.All((string[])["/dev/secret", "someone", "SERIAL7", "secret=1", "Reserved", "0000:03:00.0\n"],
            word => Assert.DoesNotContain(word, text, StringComparison.Ordinal));
    }

    [Fact]
    public void Both_forms_say_the_same()
    {
        using Machine machine = new Machine().Build();
        Diagnosis diagnosis = HostDoctor.Examine(machine.Read(), [], null, static _ => []);
        string text = DiagnosisText.Of(diagnosis, int.MaxValue);
        using MemoryStream output = new();
        DiagnosisJson.Write(output, diagnosis);
        using JsonDocument json = JsonDocument.Parse(output.ToArray());
        Assert.Equal(["passthrough", "p2p", "gpudirect", "sriov", "mirror"], json.RootElement.GetProperty("goals").EnumerateObject()
            .Select(static goal => goal.Name));
        Assert.Equal([Machine.Gpu, Machine.Nic, Machine.Drive], json.RootElement.GetProperty("devices").EnumerateArray()
            .Select(static device => device.GetString()));
        Assert.Equal(diagnosis.Verdicts.Length, json.RootElement.GetProperty("verdicts").GetArrayLength());
        Assert.Equal(diagnosis.CanBeReached, json.RootElement.GetProperty("canBeReached").GetBoolean());
        foreach (JsonElement verdict in json.RootElement.GetProperty("verdicts").EnumerateArray())
        {
            Assert.Contains($"{verdict.GetProperty("check").GetString()}: {verdict.GetProperty("means").GetString()}\n", text, StringComparison.Ordinal);
            Assert.Contains($"seen: {verdict.GetProperty("seen").GetString()}\n", text, StringComparison.Ordinal);
        }
    }

    [Fact]
    public void Lines_are_no_longer_than_asked_but_for_commands()
    {
        using Machine machine = new Machine().Build();
        string text = DiagnosisText.Of(machine.Look(Goals.P2p, Machine.Gpu, Machine.Nic), 80);
        Assert.All(text.Split('\n').Where(static line => !line.Contains("do: ", StringComparison.Ordinal)), line => Assert.True(line.Length <= 80, line));
    }

    [Fact]
    public void Devices_are_those_named_or_those_that_fit()
    {
        using Machine machine = new Machine().Build();
        HostMachine host = machine.Read();
        Assert.Equal([Machine.Gpu, Machine.Nic], Names(HostDoctor.Examine(host, [Say.Address("0000:01:00.0")], Goals.P2p)));
        Assert.Equal([Machine.Nic], Names(HostDoctor.Examine(host, [], Goals.Sriov)));
        Assert.Equal([Machine.Gpu, Machine.Nic, Machine.Drive], Names(HostDoctor.Examine(host, [], Goals.GpuDirect)));
        Assert.Contains("there is no function 0000:09:00.0", Say.Refusal(() => HostDoctor.Examine(host, [Say.Address("09:00.0")], null)));
        using Machine none = new Machine { Vfs = 0 }.Build();
        Assert.Contains("no device that is wanted for sriov", Say.Refusal(() => HostDoctor.Examine(none.Read(), [], Goals.Sriov)));
    }

    [Fact]
    public void Eight_vector_engines_get_an_experts_answer()
    {
        Diagnosis diagnosis = HostDoctor.Examine(RealCaptures.Read("8-vector-engines.tar.bz2"), [], Goals.P2p);
        Assert.Equal(8, diagnosis.Devices.Length);
        Assert.Equal(Reachability.Unknown, diagnosis.Of(Goals.P2p));
        diagnosis.The(VerdictKind.Unknown, "iommu", "no /sys/kernel/iommu_groups", "has no intel_iommu=on");
        diagnosis.The(VerdictKind.Unknown, "peers", "6 pairs below the switch at 0000:18:00.0");
        diagnosis.The(VerdictKind.Unknown, "peers", "6 pairs below the switch at 0000:3b:00.0");
        diagnosis.The(VerdictKind.Note, "peers", "16 pairs below host bridges 0000:17 and 0000:3a", "one processor (NUMA node 0)", "8086:2030");
        diagnosis.The(VerdictKind.Should, "driver", "-> ve_drv");
    }

    internal static string Answers(HostMachine host) => string.Join('\n', HostDoctor.Examine(host, [], Goals.All, static _ => []).Verdicts
        .Select(static verdict => $"{verdict.Kind} {verdict.Check} {verdict.Means} {verdict.Seen} {string.Join(' ', verdict.Changes)}"))
        .Replace(host.Origin.Name, "NAME", StringComparison.Ordinal).Replace("this process", "the process that made the capture", StringComparison.Ordinal);

    private static string[] Names(Diagnosis diagnosis) => [.. diagnosis.Devices.Select(static device => device.Address.ToString())];
}
