using Aperture.Pci;

namespace Aperture.Devices;

/// <summary>What stands behind a test device's memory BAR.</summary>
public enum TestBacking : byte
{
    /// <summary>Every access exits to the device.</summary>
    Trap,

    /// <summary>Guest RAM: a memory slot while the BAR is decoded.</summary>
    Ram,
}

/// <summary>One BAR of a test device.</summary>
/// <param name="Index">Register index, 0 to 5; a 64-bit BAR also takes the next one.</param>
/// <param name="Kind">What kind of BAR; never <see cref="BarKind.Rom"/>.</param>
/// <param name="Size">Bytes, a power of two.</param>
/// <param name="Backing">What answers; always <see cref="TestBacking.Trap"/> for I/O.</param>
public readonly record struct TestBarSpec(int Index, BarKind Kind, ulong Size, TestBacking Backing);

/// <summary>What the user asked for with <c>--device test,...</c>.</summary>
public sealed partial record TestDeviceSpec
{
    /// <summary>The device's name, unique in the machine.</summary>
    public required string Id { get; init; }

    /// <summary>Device and function on its bus, or null when the machine picks.</summary>
    public byte? DeviceFunction { get; init; }

    /// <summary>The id of the port it sits below, or null for the root bus.</summary>
    public string? Port { get; init; }

    /// <summary>The BARs, by rising index.</summary>
    public required IReadOnlyList<TestBarSpec> Bars { get; init; }

    /// <summary>Bytes of expansion ROM, a power of two; 0 for none.</summary>
    public uint RomSize { get; init; }

    /// <summary>MSI vectors, a power of two to 32; 0 for no MSI capability.</summary>
    public int MsiVectors { get; init; }

    /// <summary>MSI-X vectors, 0 to 2048; 0 for no MSI-X capability.</summary>
    public int MsixVectors { get; init; }
}

public sealed partial record TestDeviceSpec
{
    /// <summary>Reads the options of <c>--device test,...</c>.</summary>
    public static bool TryParse(
        IReadOnlyList<KeyValuePair<string, string>> options,
        [System.Diagnostics.CodeAnalysis.NotNullWhen(true)] out TestDeviceSpec? spec,
        [System.Diagnostics.CodeAnalysis.NotNullWhen(false)] out string? error)
    {
        spec = null;
        error = $"{options.Count} options";
        return false;
    }
}
