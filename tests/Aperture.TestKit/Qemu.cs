using System.Diagnostics;
using System.Globalization;
using System.Net.Sockets;

namespace Aperture.TestKit;

/// <summary>
/// A QEMU with a vfio-user-pci device and no processor that runs: the test does the guest's accesses itself, over the qtest socket (QEMU's
/// docs/devel/testing/qtest.rst). APERTURE_QEMU_VFIO_USER names one of version 10.1 or later; else the lab's folder and the system are looked at.
/// </summary>
public sealed class Qemu : IDisposable
{
    private readonly Process _process;
    private readonly Socket _socket;
    private readonly StreamReader _answers;
    private readonly Task<string> _errors;

    private Qemu(Process process, Socket socket)
    {
        (_process, _socket) = (process, socket);
        _answers = new StreamReader(new NetworkStream(socket));
        _errors = process.StandardError.ReadToEndAsync();
    }

    /// <summary>Where the lab's artefacts are: where the environment says, or in the checkout that the tests were built in.</summary>
    public static string LabFolder => Environment.GetEnvironmentVariable("APERTURE_LAB_DIR") ?? Folder();

    /// <summary>Why there is none, or null.</summary>
    public static string? Missing => Program is null
        ? "needs QEMU 10.1 or later with vfio-user-pci: run ./aperture lab prepare vfio-user, or name one in APERTURE_QEMU_VFIO_USER"
        : null;

    /// <summary>The program; null when there is none.</summary>
    public static string? Program { get; } = new[]
    {
        Environment.GetEnvironmentVariable("APERTURE_QEMU_VFIO_USER"),
        Path.Combine(LabFolder, "qemu-vfio-user"),
        "/usr/bin/qemu-system-x86_64",
    }.FirstOrDefault(static path => path is not null && File.Exists(path) && HasDevice(path));

    private static string Folder()
    {
        string? at = AppContext.BaseDirectory;
        while (at is not null && !File.Exists(Path.Combine(at, "lab", "prepare")))
        {
            at = Path.GetDirectoryName(at);
        }

        return Path.Combine(at ?? "", ".cache", "lab");
    }

    /// <summary>Starts one whose device 04.0 is served at <paramref name="server"/>.</summary>
    public static Qemu Start(string folder, string server, bool sharedMemory)
    {
        string control = Path.Combine(folder, $"q{Guid.NewGuid():N}"[..12]);
        using Socket listener = new(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        listener.Bind(new UnixDomainSocketEndPoint(control));
        listener.Listen(1);
        string memory = sharedMemory ? "memory-backend-memfd,id=m,size=64M,share=on" : "memory-backend-ram,id=m,size=64M";
        string device = $$$"""{"driver":"vfio-user-pci","addr":"4.0","socket":{"type":"unix","path":"{{{server}}}"}}""";
        string[] arguments =
        [
            "-M", "q35,memory-backend=m", "-accel", "qtest", "-nodefaults", "-display", "none", "-m", "64M", "-object", memory, "-qtest", $"unix:{control}",
            "-device", device,
        ];
        Process process = Process.Start(new ProcessStartInfo(Program!, arguments) { RedirectStandardError = true })!;
        bool came = listener.Poll(TimeSpan.FromSeconds(30), SelectMode.SelectRead);
        if (!came || process.HasExited)
        {
            process.Kill();
            Assert.Fail($"QEMU did not start: {process.StandardError.ReadToEnd()}");
        }

        return new Qemu(process, listener.Accept());
    }

    public uint ReadConfig(int offset)
    {
        Tell($"outl 0xcf8 0x{0x8000_2000 | (offset & 0xFC):x}");
        return (uint)Ask("inl 0xcfc");
    }

    public void WriteConfig(int offset, uint value)
    {
        Tell($"outl 0xcf8 0x{0x8000_2000 | (offset & 0xFC):x}");
        Tell($"outl 0xcfc 0x{value:x}");
    }

    public uint Read(ulong address) => (uint)Ask($"readl 0x{address:x}");

    public void Write(ulong address, uint value) => Tell($"writel 0x{address:x} 0x{value:x}");

    public void Dispose()
    {
        _process.Kill();
        _process.WaitForExit();
        _answers.Dispose();
        _socket.Dispose();
        _process.Dispose();
    }

    private static bool HasDevice(string path)
    {
        using Process process = Process.Start(
            new ProcessStartInfo(path, ["-M", "q35", "-device", "vfio-user-pci,help"]) { RedirectStandardOutput = true, RedirectStandardError = true })!;
        Task<string> errors = process.StandardError.ReadToEndAsync();
        string output = process.StandardOutput.ReadToEnd();
        process.WaitForExit();
        return errors.Result.Length >= 0 && output.Contains("socket", StringComparison.Ordinal);
    }

    private void Tell(string command) => Ask(command);

    private ulong Ask(string command)
    {
        _socket.Send(System.Text.Encoding.ASCII.GetBytes(command + "\n"));
        while (true)
        {
            string? line = null;
            try
            {
                line = _answers.ReadLine();
            }
            catch (IOException)
            {
                // Gone, like at the end of the stream.
            }

            Assert.True(line is not null, $"QEMU ended at '{command}': {(line is null ? _errors.Result : "")}");
            if (line!.StartsWith("OK", StringComparison.Ordinal))
            {
                string value = line.Length > 5 ? line[5..] : "0";
                return ulong.Parse(value, NumberStyles.HexNumber, CultureInfo.InvariantCulture);
            }

            Assert.StartsWith("IRQ", line, StringComparison.Ordinal);
        }
    }
}
