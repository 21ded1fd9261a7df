using System.Text.Json;
using Aperture.Machine.Control;

namespace Aperture.Machine.Tests.Guests;

/// <summary>The control channel of a machine that runs.</summary>
[Collection(LocalKvm.Name)]
public sealed class ControlTests
{
    [Fact]
    public async Task A_running_machine_is_verified_changed_and_ended_from_outside()
    {
        using TemporaryFolder folder = new();
        string path = folder.In("control.sock");
        using (Guest guest = new(Payload.Build(Payload.Spin), "--root-port id=rp0", $"--control {path}"))
        {
            Task<MachineOutcome> run = Task.Run(guest.Run, TestContext.Current.CancellationToken);
            using (ControlClient client = ControlClient.Connect(path))
            {
                Assert.Equal(0, Ask(client, "verify").GetProperty("count").GetInt32());
                Assert.Contains(Ask(client, "map").GetProperty("slots").EnumerateArray(), s => s.GetProperty("region").GetString() == "firmware");
                Assert.Equal("nic1", Ask(client, "device-add", ("device", "test,id=nic1,port=rp0,bar0=mem32:64K:ram")).GetProperty("function").GetString());
                Assert.Contains(Ask(client, "map").GetProperty("bars").EnumerateArray(), b => b.GetProperty("function").GetString() == "nic1");
                Assert.False(Ask(client, "device-remove", ("id", "nic1")).GetProperty("removed").GetBoolean());
                Assert.True(Ask(client, "device-remove", ("id", "nic1"), ("surprise", "true"), ("wait", "30")).GetProperty("removed").GetBoolean());
                Assert.Contains("is not a command", Assert.Throws<ApertureException>(() => Ask(client, "frobnicate")).Message, StringComparison.Ordinal);
                Ask(client, "power-button");
                Ask(client, "quit");
            }

            Assert.Equal(new MachineOutcome(0, "the control channel asked for the end"), await run);
            Assert.Contains(guest.Events, e => e.Contains("\"hotplug.added\"", StringComparison.Ordinal));
            Assert.Contains(guest.Events, e => e.Contains("\"map.verified\",\"when\":\"end\"", StringComparison.Ordinal));
        }

        Assert.False(Path.Exists(path));
    }

    [Fact]
    public async Task Several_devices_of_one_request_come_and_go_together()
    {
        string path = Path.Combine(Path.GetTempPath(), $"aperture-together-{Environment.ProcessId}.sock");
        using Guest guest = new(Payload.Build(Payload.Spin), "--root-port id=rp0", $"--control {path}");
        Task<MachineOutcome> run = Task.Run(guest.Run, TestContext.Current.CancellationToken);
        using (ControlClient client = ControlClient.Connect(path))
        {
            string[] devices = ["test,id=gpu,port=rp0,bar0=mem32:64K:ram", "test,id=audio,bar0=mem32:4K:ram"];
            ControlRequest add = new("device-add", new Dictionary<string, string>())
            {
                Lists = new Dictionary<string, IReadOnlyList<string>> { ["devices"] = devices },
            };
            using (JsonDocument answer = client.Ask(add))
            {
                Assert.Equal(["gpu", "audio"], answer.RootElement.GetProperty("functions").EnumerateArray().Select(f => f.GetProperty("function").GetString()));
            }

            Assert.Contains("give one of them", Assert.Throws<ApertureException>(() => client.Ask(add with
            {
                Members = new Dictionary<string, string> { ["device"] = "test,id=c,port=rp0" },
            })).Message, StringComparison.Ordinal);
            JsonElement gone = Ask(client, "device-remove", ("id", "audio"), ("surprise", "true"), ("wait", "30"));
            Assert.Equal(["gpu", "audio"], gone.GetProperty("functions").EnumerateArray().Select(name => name.GetString()));
            Ask(client, "quit");
        }

        await run;
    }

    private static JsonElement Ask(ControlClient client, string command, params (string Name, string Value)[] members)
    {
        using JsonDocument answer = client.Ask(new ControlRequest(command, members.ToDictionary(m => m.Name, m => m.Value)));
        return answer.RootElement.Clone();
    }
}
