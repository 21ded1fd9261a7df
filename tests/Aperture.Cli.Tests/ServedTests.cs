using System.Diagnostics;
using Aperture.Linux;
using Aperture.Linux.Net;

namespace Aperture.Cli.Tests;

/// <summary>A machine with a device that <c>aperture mediate</c> serves, as docs/mediation.md shows it; each its own process.</summary>
public sealed class ServedTests(Scratch scratch) : IClassFixture<Scratch>
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(60);

    [Fact]
    public async Task A_served_device_is_planned_and_run_and_its_server_reaches_the_guest_s_memory()
    {
        try
        {
            Kvm.KvmSystem.Open().Dispose();
        }
        catch (ApertureException failure)
        {
            Assert.Skip(failure.Message);
        }

        CancellationToken cancelled = TestContext.Current.CancellationToken;
        string socket = scratch.Path("a.sock");
        string control = scratch.Path("served.control");
        string device = $"vfio-user,socket={socket},id=t0,bars=bar2@0xe8000000";
        CommandLine.Run("plan", "--device", device).IsOneSentence(3, $"cannot connect to {socket}; start the program that serves the device");
        using Process daemon = Start(["mediate", "--mediator", "test", "--socket-path", socket]);
        Process? run = null;
        try
        {
            Assert.True(SpinWait.SpinUntil(() => daemon.HasExited || Listens(socket), Patience));
            CommandLine.Result plan = CommandLine.Run("plan", "--memory", "64M", "--device", device);
            Assert.Equal(0, plan.Code);
            Assert.Matches(@"t0 +bar2 +mem64p +1M +0xe8000000-0xe80fffff ", plan.Output);
            Assert.Contains($"t0 is served at {socket}, which was asked for its BARs", plan.Output + plan.Error, StringComparison.Ordinal);

            run = Start(["run", "--firmware", scratch.Spins(), "--serial", "stdio", "--control", control, "--memory", "64M", "--device", device]);
            Assert.Equal("ready", await run.StandardOutput.ReadLineAsync(cancelled).AsTask().WaitAsync(Patience, cancelled));
            CommandLine.Result map = CommandLine.Run("map", "--control", control);
            Assert.Equal((0, ""), (map.Code, map.Error));
            Assert.Contains("SERVER OF t0", map.Output, StringComparison.Ordinal);
            Assert.Matches(@"0x100000-0x3ffffff +63M +ram-low +yes\n", map.Output);
            CommandLine.Result verified = CommandLine.Run("verify", "--control", control);
            Assert.Equal((0, ""), (verified.Code, verified.Error));
        }
        finally
        {
            End(run);
            End(daemon);
        }
    }

    [Fact]
    public void A_guest_in_the_lab_gets_no_served_device() => CommandLine.Run(
        "run", "--accel", "lab", "--firmware", scratch.Spins(), "--device", "vfio-user,socket=x.sock").IsOneSentence(
            2, "--device vfio-user needs a guest on this machine's own KVM: x.sock cannot be reached from inside the lab");

    private static Process Start(string[] arguments) => Process.Start(
        new ProcessStartInfo(CommandLine.Program, arguments) { RedirectStandardOutput = true, RedirectStandardError = true, RedirectStandardInput = true })!;

    private static bool Listens(string path)
    {
        int result = UnixSocket.TryConnect(path, out SafeFileDescriptor socket);
        socket.Dispose();
        return result == 0;
    }

    private static void End(Process? process)
    {
        if (process is { HasExited: false })
        {
            process.Kill(entireProcessTree: true);
            process.WaitForExit();
        }

        process?.Dispose();
    }
}
