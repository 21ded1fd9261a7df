using System.Diagnostics;
using System.Globalization;
using System.Runtime.InteropServices;
using Aperture.Linux;
using Aperture.Linux.Net;

namespace Aperture.Cli.Tests;

/// <summary><c>aperture mediate</c>: the daemon's questions and its life.</summary>
public sealed class MediateTests(Scratch scratch) : IClassFixture<Scratch>
{
    private const int Terminate = 15;
    private const int Interrupt = 2;

    [Theory]
    [InlineData("mediate needs --mediator", "--socket-path", "x.sock")]
    [InlineData("mediate serves nobody", "--mediator", "test")]
    [InlineData("--socket-path needs a path", "--mediator", "test", "--socket-path", "")]
    [InlineData("'part' is not a mediator", "--mediator", "part,size=1M", "--socket-path", "x.sock")]
    [InlineData("partition,size=", "--mediator", "partition", "--socket-path", "x.sock")]
    [InlineData("--fd 1 is not the number of an inherited descriptor", "--mediator", "test", "--fd", "1")]
    [InlineData("--fd none is not the number", "--mediator", "test", "--fd", "none")]
    [InlineData("--mediator and --mediator-assembly both say", "--mediator", "test", "--mediator-assembly", "x.dll", "--socket-path", "x.sock")]
    [InlineData("nowhere.dll is no assembly", "--mediator-assembly", "nowhere.dll", "--socket-path", "x.sock")]
    [InlineData("--mediator is given twice", "--mediator", "test", "--mediator", "test", "--socket-path", "x.sock")]
    public void A_question_that_is_wrong_is_told(string fault, params string[] arguments) =>
        CommandLine.Run(["mediate", .. arguments]).IsOneSentence(2, fault);

    [Fact]
    public void A_place_that_cannot_be_listened_at_is_told_and_leaves_no_socket()
    {
        string good = scratch.Path("good.sock");
        CommandLine.Run("mediate", "--mediator", "test", "--socket-path", good, "--socket-path", "/nowhere/x.sock").IsOneSentence(3, "/nowhere/x.sock");
        Assert.False(File.Exists(good));
        CommandLine.Run("mediate", "--mediator", "test", "--fd", "999").IsOneSentence(3, "descriptor 999");
        string file = scratch.File("file", [1]);
        CommandLine.Run("mediate", "--mediator", "test", "--socket-path", file).IsOneSentence(3, "somebody else uses");
        Assert.True(File.Exists(file));
    }

    [Theory]
    [InlineData(Terminate)]
    [InlineData(Interrupt)]
    public void It_ends_well_at_a_signal_and_takes_its_sockets_away(int signal)
    {
        string[] paths = [scratch.Path($"a{signal}.sock"), scratch.Path($"b{signal}.sock")];
        using Process daemon = Start(paths);
        using SafeFileDescriptor guest = Connect(paths[0]);
        Assert.Equal(0, Kill(daemon.Id, signal));
        Assert.True(daemon.WaitForExit(60_000));
        Assert.Equal((0, ""), (daemon.ExitCode, daemon.StandardError.ReadToEnd()));
        Assert.All(paths, static path => Assert.False(File.Exists(path)));
    }

    [Fact]
    public void A_socket_that_somebody_serves_is_refused_and_one_that_was_left_is_replaced()
    {
        string path = scratch.Path("one.sock");
        using Process first = Start(path);
        Connect(path).Dispose();
        CommandLine.Run("mediate", "--mediator", "test", "--socket-path", path).IsOneSentence(3, "somebody else uses", path);
        first.Kill();
        first.WaitForExit();
        Assert.True(File.Exists(path));
        using Process second = Start(path);
        Connect(path).Dispose();
        Assert.Equal(0, Kill(second.Id, Terminate));
        Assert.True(second.WaitForExit(60_000));
        Assert.Equal(0, second.ExitCode);
        Assert.False(File.Exists(path));
    }

    [Fact]
    public void A_mediator_of_an_assembly_is_served_like_the_ones_that_come_along()
    {
        string path = scratch.Path("board.sock");
        using Process daemon = Start("--mediator-assembly", Path.Combine(AppContext.BaseDirectory, "Whiteboard.dll"), path);
        using SafeFileDescriptor guest = Connect(path);

        // REGION_READ of the first word of configuration space: vendor A9E7, device 3.
        byte[] read = [2, 0, 9, 0, 32, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 7, 0, 0, 0, 4, 0, 0, 0];
        Assert.Equal(read.Length, SocketMessages.TrySend(guest, read, default, []));
        byte[] reply = new byte[256];
        int got = 0;
        ReadOnlySpan<byte> ids = [0xE7, 0xA9, 0x03, 0x00];
        for (int count = 1; count > 0 && !reply.AsSpan(0, got).EndsWith(ids); got += count)
        {
            count = SocketMessages.TryReceive(guest, reply.AsSpan(got), 0, [], out _);
            Assert.True(count > 0, Convert.ToHexString(reply, 0, got));
        }

        Assert.Equal(0, Kill(daemon.Id, Terminate));
        Assert.True(daemon.WaitForExit(60_000));
        Assert.Equal((0, ""), (daemon.ExitCode, daemon.StandardError.ReadToEnd()));
    }

    [Fact]
    public void The_command_that_the_page_shows_for_an_assembly_serves_both_guests()
    {
        string root = AppContext.BaseDirectory;
        while (!File.Exists(Path.Combine(root, "Aperture.slnx")))
        {
            root = Path.GetDirectoryName(root)!;
        }

        string line = Assert.Single(File.ReadLines(Path.Combine(root, "docs", "mediation.md")),
            static line => line.StartsWith("./aperture mediate --mediator-assembly ", StringComparison.Ordinal));
        string[] words = [.. line.Split(' ')[1..].Select(word => word.EndsWith(".sock", StringComparison.Ordinal) ? scratch.Path($"page-{word}")
            : word.StartsWith("samples/", StringComparison.Ordinal) ? Path.Combine(root, word) : word)];
        using Process daemon = Process.Start(new ProcessStartInfo(CommandLine.Program, words) { RedirectStandardError = true })!;
        foreach (string path in words.Where(static word => word.EndsWith(".sock", StringComparison.Ordinal)))
        {
            Connect(path).Dispose();
        }

        Assert.Equal(0, Kill(daemon.Id, Terminate));
        Assert.True(daemon.WaitForExit(60_000));
        Assert.Equal((0, ""), (daemon.ExitCode, daemon.StandardError.ReadToEnd()));
    }

    [Fact]
    public void A_program_that_loads_no_code_says_which_one_does()
    {
        // What the project sets where the program is compiled ahead of time.
        string settings = Path.ChangeExtension(CommandLine.Program, ".runtimeconfig.json");
        string changed = scratch.Path("no-code.runtimeconfig.json");
        string text = File.ReadAllText(settings);
        const string Properties = "\"configProperties\": {";
        Assert.Contains(Properties, text, StringComparison.Ordinal);
        File.WriteAllText(changed, text.Replace(Properties, $"{Properties} \"Aperture.LoadsAssemblies\": false,", StringComparison.Ordinal));
        CommandLine.Start("dotnet", "exec", "--runtimeconfig", changed, $"{CommandLine.Program}.dll", "mediate", "--mediator-assembly", "x.dll,a=b",
            "--socket-path", scratch.Path("x.sock")).IsOneSentence(2, "loads no code, so not x.dll either; run ./aperture mediate --mediator-assembly");
    }

    [Fact]
    public void Its_help_names_the_mediators()
    {
        string help = CommandLine.Run("mediate", "--help").Output;
        string[] words =
        [
            "--socket-path", "--fd", "--mediator-assembly PATH[,type=NAME]", "partition,size=SIZE", "partition,vfio=BDF,bar=N", "nvme,vfio=BDF,shares=SIZE",
            "test[,ram=1M]",
        ];
        Assert.All(words, word => Assert.Contains(word, help, StringComparison.Ordinal));
    }

    private static Process Start(params string[] paths) => Start("--mediator", "partition,size=1M", paths);

    private static Process Start(string option, string mediator, params string[] paths) => Process.Start(new ProcessStartInfo(
        CommandLine.Program, ["mediate", option, mediator, .. paths.SelectMany(static p => new[] { "--socket-path", p })])
    {
        RedirectStandardError = true,
    })!;

    // A connection at which the daemon answers: it is there, and has its signals in hand.
    private static SafeFileDescriptor Connect(string path)
    {
        SafeFileDescriptor? socket = null;
        Assert.True(SpinWait.SpinUntil(() => UnixSocket.TryConnect(path, out socket) == 0, 60_000), $"nobody listens at {path}");
        byte[] version = [1, 0, 1, 0, 23, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, (byte)'{', (byte)'}', 0];
        Assert.Equal(version.Length, SocketMessages.TrySend(socket!, version, default, []));
        byte[] reply = new byte[16];
        int got = SocketMessages.TryReceive(socket!, reply, 0, [], out _);
        Assert.True(got == 16 && reply[8] == 1, string.Create(CultureInfo.InvariantCulture, $"{got}: {Convert.ToHexString(reply)}"));
        return socket!;
    }

    [DllImport("libc", EntryPoint = "kill")]
    private static extern int Kill(int process, int signal);
}
