using Aperture.Configuration.Options;

namespace Aperture.Configuration.Kinds;

/// <summary>The ports and the memory that test kernels for monitors use: <c>--device pc-testdev</c>.</summary>
public sealed record PcTestDeviceSpec : DeviceSpec
{
    /// <inheritdoc/>
    public override DeviceKind Kind => TheKind;

    internal static DeviceKind TheKind { get; } = new DeviceKind<PcTestDeviceSpec>(
        "pc-testdev", "pc-testdev", "ports and memory that test kernels such as kvm-unit-tests use", new OptionTable<PcTestDeviceSpec>(
            "--device",
            "a pc-testdev",
            []));
}
