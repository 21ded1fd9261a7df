using System.Net.Sockets;
using System.Text;
using System.Text.Json;
using Aperture.Linux;
using Aperture.Linux.Net;
using Aperture.Machine.Control;

namespace Aperture.Machine.Tests.Control;

public sealed class ControlServerTests : IDisposable
{
    private readonly TemporaryFolder _folder = new();

    private string Path => System.IO.Path.Combine(_folder.Path, "vm.sock");

    public void Dispose() => _folder.Dispose();

    [Fact]
    public void A_request_gets_its_answer_and_only_this_user_may_ask()
    {
        using ControlServer server = ControlServer.Open(Path, new Echo());
        Assert.True(OperatingSystem.IsLinux() && File.GetUnixFileMode(Path) == (UnixFileMode.UserRead | UnixFileMode.UserWrite));
        using ControlClient client = ControlClient.Connect(Path);
        for (int i = 0; i < 3; i++)
        {
            using JsonDocument answer = client.Ask(new ControlRequest("echo", new Dictionary<string, string> { ["text"] = $"ä\n{i}" }));
            Assert.Equal($"ä\n{i}", answer.RootElement.GetProperty("text").GetString());
        }
    }

    [Fact]
    public void A_request_with_a_list_is_read_as_it_was_written()
    {
        ControlRequest written = new("device-add", new Dictionary<string, string> { ["wait"] = "1" })
        {
            Lists = new Dictionary<string, IReadOnlyList<string>> { ["devices"] = ["test,id=ä", "b\n"], ["none"] = [] },
        };
        ControlRequest read = ControlRequest.Parse(written.ToLine());
        Assert.Equal(("device-add", "1"), (read.Command, Assert.Single(read.Members).Value));
        Assert.Equal(["devices", "none"], read.Lists.Keys);
        Assert.Equal(["test,id=ä", "b\n"], read.Lists["devices"]);
        Assert.Empty(read.Lists["none"]);
    }

    [Fact]
    public void A_refusal_is_the_sentence_and_the_client_may_go_on()
    {
        using ControlServer server = ControlServer.Open(Path, new Echo());
        using ControlClient client = ControlClient.Connect(Path);
        Assert.Equal("no", Assert.Throws<ApertureException>(() => client.Ask(new ControlRequest("refuse", new Dictionary<string, string>()))).Message);
        client.Ask(new ControlRequest("echo", new Dictionary<string, string> { ["text"] = "x" })).Dispose();
    }

    [Theory]
    [InlineData("")]
    [InlineData("verify")]
    [InlineData("[]")]
    [InlineData("{\"command\":{}}")]
    [InlineData("{\"command\":\"echo\"} {}")]
    [InlineData("{\"command\":\"echo\",\"command\":\"echo\"}")]
    [InlineData("{\"text\":\"x\"}")]
    [InlineData("{\"command\":\"echo\",\"text\":null}")]
    [InlineData("{\"command\":\"\\ud800\"}")]
    [InlineData("{\"command\":[\"echo\"]}")]
    [InlineData("{\"command\":\"echo\",\"text\":[1]}")]
    [InlineData("{\"command\":\"echo\",\"text\":[[]]}")]
    [InlineData("{\"command\":\"echo\",\"text\":[\"x\"}")]
    [InlineData("{\"command\":\"echo\",\"text\":[\"x\"],\"text\":\"x\"}")]
    [InlineData("{\"command\":\"echo\",\"text\":[\"\",\"\",\"\",\"\",\"\",\"\",\"\",\"\",\"\",\"\",\"\",\"\",\"\",\"\",\"\",\"\",\"\"]}")]
    [InlineData("\0\u00ff")]
    public void What_is_no_request_is_refused_in_one_line_and_hurts_nobody(string line)
    {
        using ControlServer server = ControlServer.Open(Path, new Echo());
        using Socket client = Raw();
        client.Send(Encoding.UTF8.GetBytes(line + "\n{\"command\":\"echo\",\"text\":\"still here\"}\n"));
        string[] answers = ReadLines(client, 2);
        Assert.StartsWith("{\"ok\":false,\"error\":\"", answers[0], StringComparison.Ordinal);
        Assert.Contains("still here", answers[1], StringComparison.Ordinal);
    }

    [Fact]
    public void A_line_without_an_end_is_refused_and_the_client_sent_away()
    {
        using ControlServer server = ControlServer.Open(Path, new Echo());
        using Socket client = Raw();
        byte[] much = new byte[ControlRequest.MaxLength + 2];
        Array.Fill(much, (byte)'x');
        client.Send(much);
        Assert.Contains("longer than", Assert.Single(ReadLines(client, 1)), StringComparison.Ordinal);
        Assert.Equal(0, client.Receive(new byte[1]));
        using ControlClient other = ControlClient.Connect(Path);
        other.Ask(new ControlRequest("echo", new Dictionary<string, string> { ["text"] = "x" })).Dispose();
    }

    [Fact]
    public void A_client_that_says_nothing_or_goes_away_keeps_no_other_waiting_and_one_too_many_is_told()
    {
        using ControlServer server = ControlServer.Open(Path, new Echo());
        List<Socket> silent = [.. Enumerable.Range(0, ControlServer.MaxClients - 1).Select(_ => Raw())];
        using (ControlClient last = ControlClient.Connect(Path))
        {
            last.Ask(new ControlRequest("echo", new Dictionary<string, string> { ["text"] = "x" })).Dispose();
            using Socket excess = Raw();
            Assert.Contains("16 clients", Assert.Single(ReadLines(excess, 1)), StringComparison.Ordinal);
        }

        silent.ForEach(s => s.Dispose());
    }

    [Fact]
    public void A_socket_that_a_machine_listens_at_is_not_taken_and_a_dead_one_is_replaced()
    {
        using (ControlServer server = ControlServer.Open(Path, new Echo()))
        {
            Assert.Contains("a machine that runs", Assert.Throws<ApertureException>(() => ControlServer.Open(Path, new Echo())).Message,
                StringComparison.Ordinal);
            using ControlClient still = ControlClient.Connect(Path);
        }

        Assert.False(System.IO.Path.Exists(Path));
        using (Socket dead = new(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified))
        {
            dead.Bind(new UnixDomainSocketEndPoint(Path));

            // Closing removes the file only where the runtime bound and disposes it; what a killed process leaves is made by moving it away and back.
            File.Move(Path, Path + ".kept");
        }

        File.Move(Path + ".kept", Path);
        using ControlServer again = ControlServer.Open(Path, new Echo());
        ControlClient.Connect(Path).Dispose();
    }

    [Fact]
    public void What_is_no_socket_is_left_alone()
    {
        File.WriteAllText(Path, "precious");
        Assert.Contains("something is there already", Assert.Throws<ApertureException>(() => ControlServer.Open(Path, new Echo())).Message,
            StringComparison.Ordinal);
        Assert.Equal("precious", File.ReadAllText(Path));
        Assert.Contains("not a path for a socket", Assert.Throws<ApertureException>(() => ControlServer.Open(new string('a', 200), new Echo())).Message,
            StringComparison.Ordinal);
        Assert.Contains("No machine answers", Assert.Throws<ApertureException>(() => ControlClient.Connect(Path + ".none")).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void The_end_of_the_server_ends_a_command_that_waits()
    {
        Echo commands = new();
        ControlServer server = ControlServer.Open(Path, commands);
        using Socket client = Raw();
        client.Send("{\"command\":\"wait\"}\n"u8);
        commands.Waiting.Wait(TestContext.Current.CancellationToken);
        server.Dispose();
        Assert.False(System.IO.Path.Exists(Path));
    }

    [Fact]
    public void A_descriptor_comes_with_its_request_by_the_client_s_number_and_is_closed_unless_the_command_moved_it_out()
    {
        Echo commands = new();
        using ControlServer server = ControlServer.Open(Path, commands);
        using ControlClient client = ControlClient.Connect(Path);
        (SafeFileDescriptor mine, SafeFileDescriptor other) = Pipe();
        client.Ask(new ControlRequest("keep", new Dictionary<string, string>()) { Descriptors = new Dictionary<int, SafeFileDescriptor> { [77] = mine } })
            .Dispose();
        Assert.False(mine.IsClosed);
        (int number, SafeFileDescriptor kept) = Assert.Single(commands.Kept);
        Assert.Equal(77, number);
        mine.Dispose();
        Assert.False(IsAtEnd(other));
        kept.Dispose();
        Assert.True(IsAtEnd(other));

        (mine, SafeFileDescriptor again) = Pipe();
        client.Ask(new ControlRequest("echo", new Dictionary<string, string> { ["text"] = "x" })
        {
            Descriptors = new Dictionary<int, SafeFileDescriptor> { [3] = mine },
        }).Dispose();
        mine.Dispose();
        Assert.True(IsAtEnd(again));
        other.Dispose();
        again.Dispose();
    }

    [Theory]
    [InlineData(1, "{\"command\":\"echo\",\"text\":\"x\"}", "tells of 0 descriptors and 1 came")]
    [InlineData(0, "{\"command\":\"echo\",\"text\":\"x\",\"descriptors\":[\"4\"]}", "tells of 1 descriptors and 0 came")]
    [InlineData(2, "{\"command\":\"echo\",\"text\":\"x\",\"descriptors\":[\"4\",\"4\"]}", "not a list of different numbers")]
    [InlineData(2, "{\"command\":\"echo\",\"text\":\"x\",\"descriptors\":[\"4\",\"-1\"]}", "not a list of different numbers")]
    [InlineData(9, "{\"command\":\"echo\",\"text\":\"x\"}", "at most 8 go with one")]
    public void Descriptors_that_a_request_does_not_tell_of_or_too_many_are_closed_and_refused_and_the_connection_goes_on(int count, string line, string words)
    {
        using ControlServer server = ControlServer.Open(Path, new Echo());
        using Socket client = Raw();
        (SafeFileDescriptor mine, SafeFileDescriptor other) = Pipe();
        using (SafeFileDescriptor socket = new((int)client.Handle, ownsDescriptor: false))
        {
            SafeFileDescriptor[] sent = [.. Enumerable.Repeat(mine, count)];
            Assert.True(SocketMessages.TrySend(socket, Encoding.UTF8.GetBytes(line + "\n"), default, sent) > 0);
        }

        Assert.Contains(words, Assert.Single(ReadLines(client, 1)), StringComparison.Ordinal);
        mine.Dispose();
        Assert.True(IsAtEnd(other));
        client.Send("{\"command\":\"echo\",\"text\":\"still here\"}\n"u8);
        Assert.Contains("still here", Assert.Single(ReadLines(client, 1)), StringComparison.Ordinal);
        other.Dispose();
    }

    // Two ends: the second is at its end once every copy of the first is closed.
    private static (SafeFileDescriptor Mine, SafeFileDescriptor Other) Pipe()
    {
        Assert.Equal(0, UnixSocket.TryPair(out SafeFileDescriptor first, out SafeFileDescriptor second));
        return (first, second);
    }

    private static bool IsAtEnd(SafeFileDescriptor end)
    {
        Assert.Equal(0, UnixSocket.SetTimeouts(end, 50, 50));
        return SocketMessages.TryReceive(end, new byte[1], 0, [], out _) == 0;
    }

    private static string[] ReadLines(Socket client, int count)
    {
        using NetworkStream stream = new(client, ownsSocket: false);
        using StreamReader reader = new(stream, leaveOpen: true);
        return [.. Enumerable.Range(0, count).Select(_ => reader.ReadLine()!)];
    }

    private Socket Raw()
    {
        Socket socket = new(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        socket.Connect(new UnixDomainSocketEndPoint(Path));
        return socket;
    }

    private sealed class Echo : IControlCommands
    {
        public ManualResetEventSlim Waiting { get; } = new();

        public List<(int Number, SafeFileDescriptor File)> Kept { get; } = [];

        public void Execute(ControlRequest request, Utf8JsonWriter answer, CancellationToken ended)
        {
            switch (request.Command)
            {
                case "echo":
                    answer.WriteString("text", request.Require("text"));
                    break;
                case "keep":
                    foreach ((int number, SafeFileDescriptor file) in request.Descriptors)
                    {
                        Kept.Add((number, new SafeFileDescriptor(file.Number)));
                        file.SetHandleAsInvalid();
                    }

                    break;
                case "wait":
                    Waiting.Set();
                    ended.WaitHandle.WaitOne();
                    ended.ThrowIfCancellationRequested();
                    break;
                default:
                    throw new ApertureException("no");
            }
        }
    }
}
