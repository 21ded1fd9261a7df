using Aperture.Configuration.Options;

namespace Aperture.Configuration.Kinds;

/// <summary>A port that ends the run with the guest's exit code: <c>--device debug-exit,port=0xf4</c>.</summary>
public sealed record DebugExitSpec : DeviceSpec
{
    /// <summary>Ports that it takes.</summary>
    public const int Length = 4;

    /// <summary>Its first port.</summary>
    public ushort Port { get; init; } = 0xF4;

    /// <inheritdoc/>
    public override DeviceKind Kind => TheKind;

    internal static DeviceKind TheKind { get; } = new DeviceKind<DebugExitSpec>(
        "debug-exit", "debug-exit,port=0xf4", "a port whose write of v ends the VM with exit code (v << 1) | 1", new OptionTable<DebugExitSpec>(
            "--device",
            "a debug-exit device",
            [new("port", "N", OptionShape.Number, "the first of its four ports (default 0xf4)", (s, v) => s with { Port = PortOf(v) })]));

    private static ushort PortOf(OptionValue value) => ByteSize.TryParseNumber(value.Text, out ulong port) && port <= 0xFFFF - Length
        ? (ushort)port
        : throw value.Fault(": a port is a number from 0 to 0xfffb; 0xf4 is customary");
}
