using Aperture.Configuration.Options;

namespace Aperture.Configuration.Kinds;

/// <summary>A port whose bytes go to a file: <c>--device debugcon,file=PATH</c>.</summary>
public sealed record DebugConsoleSpec : DeviceSpec
{
    /// <summary>The file.</summary>
    public string File { get; init; } = "";

    /// <summary>The port.</summary>
    public ushort Port { get; init; } = 0x402;

    /// <inheritdoc/>
    public override DeviceKind Kind => TheKind;

    /// <inheritdoc/>
    public override IEnumerable<HostFile> Files => [new(File, HostAccess.Write)];

    internal static DeviceKind TheKind { get; } = new DeviceKind<DebugConsoleSpec>(
        "debugcon", "debugcon,file=PATH", "a port whose bytes go to a file: what firmware prints for debugging", new OptionTable<DebugConsoleSpec>(
            "--device",
            "a debug console",
            [
                new("file", "PATH", OptionShape.File, "the file, which starts empty", (s, v) => s with { File = v.FileName() }) { Required = true },
                new("port", "N", OptionShape.Number, "the port (default 0x402, where firmware looks)", (s, v) => s with { Port = PortOf(v) }),
            ]));

    private static ushort PortOf(OptionValue value) => ByteSize.TryParseNumber(value.Text, out ulong port) && port <= 0xFFFF
        ? (ushort)port
        : throw value.Fault(": a port is a number from 0 to 0xffff; 0x402 is where firmware looks");
}
