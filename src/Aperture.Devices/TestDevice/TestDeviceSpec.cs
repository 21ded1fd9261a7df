using Aperture.Pci;

namespace Aperture.Devices.TestDevice;

/// <summary>What stands behind a test device's memory BAR.</summary>
public enum TestBacking : byte
{
    /// <summary>Every access exits to the device.</summary>
    Trap,

    /// <summary>Guest RAM: a memory slot while the BAR is decoded.</summary>
    Ram,
}

/// <summary>One BAR of a test device.</summary>
/// <param name="Index">Register index, 0 to 5, of a VF BAR from <see cref="BarKinds.Vf0"/> on; a 64-bit BAR also takes the next one.</param>
/// <param name="Kind">What kind of BAR; never <see cref="BarKind.Rom"/>.</param>
/// <param name="Size">Bytes, a power of two.</param>
/// <param name="Backing">What answers; always <see cref="TestBacking.Trap"/> for I/O.</param>
public readonly record struct TestBarSpec(int Index, BarKind Kind, ulong Size, TestBacking Backing);

/// <summary>Where a test device keeps its MSI-X structures.</summary>
/// <param name="Bar">Index of the BAR.</param>
/// <param name="TableOffset">Offset of the vector table in it: half its size.</param>
/// <param name="PendingOffset">Offset of the pending bits in it: three quarters of its size.</param>
public readonly record struct TestMsixPlace(int Bar, uint TableOffset, uint PendingOffset);

/// <summary>What a test device has.</summary>
public sealed record TestDeviceSpec
{
    /// <summary>The smallest BAR that holds MSI-X structures.</summary>
    public const ulong SmallestMsixBar = 8 << 10;

    /// <summary>Bytes of BAR that each MSI-X vector needs: a quarter of the BAR holds the table's 16-byte entries.</summary>
    public const ulong MsixBytesPerVector = 64;

    // Nothing needs to lie beyond: 2048 vectors take 128 KiB, and offsets in the capability have 32 bits.
    private const ulong LargestMsixHalf = 1UL << 30;

    /// <summary>The device's name, unique in the machine.</summary>
    public required string Id { get; init; }

    /// <summary>The id of the port it sits below, or null for the root bus.</summary>
    public string? Port { get; init; }

    /// <summary>The BARs, by rising index.</summary>
    public required IReadOnlyList<TestBarSpec> Bars { get; init; }

    /// <summary>Bytes of expansion ROM, a power of two; 0 for none.</summary>
    public uint RomSize { get; init; }

    /// <summary>The file with the expansion ROM's content; null for one that does nothing.</summary>
    public string? RomFile { get; init; }

    /// <summary>Vendor id that the function shows.</summary>
    public ushort Vendor { get; init; } = TestFunction.TestVendor;

    /// <summary>Device id that it shows.</summary>
    public ushort Device { get; init; } = TestFunction.TestDevice;

    /// <summary>MSI vectors, a power of two to 32; 0 for no MSI capability.</summary>
    public int MsiVectors { get; init; }

    /// <summary>MSI-X vectors, 0 to 2048; 0 for no MSI-X capability.</summary>
    public int MsixVectors { get; init; }

    /// <summary>VFs that there can be; 0 for no SR-IOV capability.</summary>
    public int Vfs { get; init; }

    /// <summary>The VF BARs by rising index, each with one VF's share; always trapped.</summary>
    public IReadOnlyList<TestBarSpec> VfBars { get; init; } = [];

    /// <summary>First VF Offset.</summary>
    public ushort VfOffset { get; init; } = 1;

    /// <summary>VF Stride.</summary>
    public ushort VfStride { get; init; } = 1;

    /// <summary>The BAR with the identification register, the first trapped one; null when all are RAM.</summary>
    public TestBarSpec? RegisterBar => First(bar => bar.Backing == TestBacking.Trap);

    /// <summary>
    /// Where the MSI-X structures lie: in the upper half of the first trapped memory BAR that is big enough, or in its second GiB if
    /// the half would lie above that. Null without MSI-X, or when no BAR can hold them.
    /// </summary>
    public TestMsixPlace? MsixPlace
    {
        get
        {
            ulong needed = Math.Max(SmallestMsixBar, MsixBytesPerVector * (ulong)MsixVectors);
            TestBarSpec? found = MsixVectors == 0 ? null : First(bar => bar.Backing == TestBacking.Trap && bar.Kind.IsMemory() && bar.Size >= needed);
            if (found is not { } bar)
            {
                return null;
            }

            ulong half = Math.Min(bar.Size / 2, LargestMsixHalf);
            return new TestMsixPlace(bar.Index, (uint)half, (uint)(half + (half / 2)));
        }
    }

    private TestBarSpec? First(Func<TestBarSpec, bool> wanted)
    {
        foreach (TestBarSpec bar in Bars)
        {
            if (wanted(bar))
            {
                return bar;
            }
        }

        return null;
    }
}
