using System.Globalization;
using System.Numerics;
using Aperture.Configuration.Options;
using Aperture.Pci;
using Aperture.Placement.Request;

namespace Aperture.Configuration.Kinds;

/// <summary>One BAR of a test device.</summary>
/// <param name="Index">As <see cref="BarDemand.Index"/>: 0 to 5, or a VF BAR's; a 64-bit BAR also takes the next one.</param>
/// <param name="Kind">What kind of BAR; never <see cref="BarKind.Rom"/>.</param>
/// <param name="Size">Bytes, a power of two.</param>
/// <param name="IsRam">Guest RAM stands behind it; otherwise every access exits to the device.</param>
public readonly record struct TestBar(int Index, BarKind Kind, ulong Size, bool IsRam);

/// <summary>A PCI test device: <c>--device test,id=ID,bar0=mem32:1M:trap,...</c>.</summary>
public sealed record TestSpec : PciDeviceSpec
{
    private const ulong LargestIo = 256;
    private const ulong Page = 4096;
    private const ulong SmallestMsixBar = 8 << 10;
    private const ulong MsixBytesPerVector = 64;
    private const string BarWord = "bar0 to bar5";
    private const string VfBarWord = "vf-bar0 to vf-bar5";
    private const int MostVfs = 256;

    /// <summary>The BARs by rising index.</summary>
    public IReadOnlyList<TestBar> Registers { get; init; } = [];

    /// <summary>The VF BARs by rising index, each with one VF's share.</summary>
    public IReadOnlyList<TestBar> VfRegisters { get; init; } = [];

    /// <summary>VFs that there can be; 0 for no SR-IOV capability.</summary>
    public ushort Vfs { get; init; }

    /// <summary>From its routing id to the first VF's (First VF Offset).</summary>
    public ushort VfOffset { get; init; } = 1;

    /// <summary>From one VF's routing id to the next (VF Stride).</summary>
    public ushort VfStride { get; init; } = 1;

    /// <inheritdoc/>
    public override SriovDemand? Sriov => Vfs == 0 ? null : new SriovDemand(Vfs) { FirstOffset = VfOffset, Stride = VfStride };

    /// <summary>Bytes of expansion ROM, a power of two; 0 for none.</summary>
    public uint RomSize { get; init; }

    /// <summary>The file with the expansion ROM's content; null for one that does nothing.</summary>
    public string? RomFile { get; init; }

    /// <summary>Vendor and device id that it shows; null for its own.</summary>
    public (ushort Vendor, ushort Device)? Ids { get; init; }

    /// <summary>MSI vectors, a power of two to 32; 0 for no MSI capability.</summary>
    public int MsiVectors { get; init; }

    /// <summary>MSI-X vectors, 0 to 2048; 0 for no MSI-X capability.</summary>
    public int MsixVectors { get; init; }

    /// <inheritdoc/>
    public override DeviceKind Kind => TheKind;

    /// <inheritdoc/>
    public override IEnumerable<HostFile> Files => RomFile is null ? [] : [new(RomFile, HostAccess.Read)];

    /// <inheritdoc/>
    protected override IEnumerable<BarDemand> Bars
    {
        get
        {
            IEnumerable<BarDemand> bars = Registers.Select(bar => new BarDemand(bar.Index, bar.Kind, bar.Size));
            IEnumerable<BarDemand> vfBars = VfRegisters.Select(bar => new BarDemand(bar.Index, bar.Kind, bar.Size));
            return [.. bars, .. RomSize == 0 ? Array.Empty<BarDemand>() : [new BarDemand(BarKinds.RomIndex, BarKind.Rom, RomSize)], .. vfBars];
        }
    }

    internal static DeviceKind TheKind { get; } = new DeviceKind<TestSpec>(
        "test",
        "test,id=ID,...",
        "a PCI test device",
        new OptionTable<TestSpec>(
            "--device",
            "a test device",
            [
                PciOptions.Id<TestSpec>() with { Required = true },
                .. PciOptions.Place<TestSpec>(),
                .. Enumerable.Range(0, 6).Select(index => new OptionEntry<TestSpec>(
                    $"bar{index}", "KIND:SIZE[:trap|ram]", OptionShape.Bar, index == 0 ? "a BAR; KIND is io, mem32, mem32p, mem64 or mem64p" : "",
                        (s, v) => WithBar(s, index, v))
                {
                    Shown = index == 0 ? BarWord : null,
                }),
                new("rom", "SIZE|PATH", OptionShape.File, "an expansion ROM; a size starts with a digit", WithRom),
                new("ids", "VVVV:DDDD", OptionShape.Plain, "vendor and device id, hexadecimal", (s, v) => s with { Ids = IdsOf(v) }),
                new("msi", "N", OptionShape.Number, "MSI vectors: 1, 2, 4, 8, 16 or 32", (s, v) => s with { MsiVectors = VectorsOf(v, 32, powerOfTwo: true) }),
                new("msix", "N", OptionShape.Number, "MSI-X vectors, 1 to 2048", (s, v) => s with { MsixVectors = VectorsOf(v, 2048, powerOfTwo: false) }),
                .. VfOptions(),
                .. PciOptions.Pins<TestSpec>(),
            ],
            Finish),
        list => list.Items.FirstOrDefault(i => i.Key == "id")?.Text is { Length: > 0 } id ? $"test device {id}: " : "test device: ");

    private static TestSpec WithRom(TestSpec spec, OptionValue value)
    {
        // A size starts with a digit, anything else is a file.
        ulong smallest = BarRules.SmallestSize(BarKind.Rom);
        string largest = ByteSize.Format(Kinds.RomFile.Largest);
        if (value.Text.Length > 0 && !char.IsAsciiDigit(value.Text[0]))
        {
            return Kinds.RomFile.SizeFor(value.Text) is > 0 and uint needed
                ? spec with { RomFile = value.Text, RomSize = needed }
                : throw value.Fault($": there is no such file of at most {largest} (a size starts with a digit, a file's name must not)");
        }

        return TryPowerOfTwo(value.Text, smallest, Kinds.RomFile.Largest, out ulong size)
            ? spec with { RomSize = (uint)size }
            : throw value.Fault($": a ROM's size must be a power of two from {ByteSize.Format(smallest)} to {largest}");
    }

    private static (ushort Vendor, ushort Device) IdsOf(OptionValue value)
    {
        string[] parts = value.Text.Split(':');
        bool valid = parts.Length == 2;
        valid &= ushort.TryParse(parts[0], NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture, out ushort vendor) & ushort.TryParse(
            parts[^1], NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture, out ushort device);

        // A vendor id of all ones means that there is no function (PCI Local Bus 3.0, section 6.2.1).
        return valid && vendor != 0xFFFF ? (vendor, device) : throw value.Fault(": the ids must be VENDOR:DEVICE in hexadecimal, and the vendor's not ffff");
    }

    private static int VectorsOf(OptionValue value, int most, bool powerOfTwo) =>
        ByteSize.TryParseNumber(value.Text, out ulong number) && number != 0 && number <= (ulong)most && (!powerOfTwo || BitOperations.IsPow2(number))
            ? (int)number
            : throw value.Fault(powerOfTwo ? $": the number of vectors must be a power of two from 1 to {most}" : $": the number of vectors must be "
                + $"from 1 to {most}");

    private static IEnumerable<OptionEntry<TestSpec>> VfOptions() =>
    [
        new("vfs", "N", OptionShape.Number, "an SR-IOV capability with N virtual functions, 1 to 256; their device id is the function's plus one",
            (s, v) => s with { Vfs = NumberOf(v, MostVfs) }),
        .. Enumerable.Range(0, 6).Select(index => new OptionEntry<TestSpec>(
            $"vf-bar{index}", "KIND:SIZE", OptionShape.VfBar, index == 0 ? "a VF BAR, SIZE for each VF, at least a page; KIND is any but io" : "",
                (s, v) => WithVfBar(s, index, v))
        {
            Shown = index == 0 ? VfBarWord : null,
        }),
        new("vf-offset", "N", OptionShape.Number, "from the function's routing id to its first VF's (default 1)",
            (s, v) => s with { VfOffset = NumberOf(v, ushort.MaxValue) }),
        new("vf-stride", "N", OptionShape.Number, "from one VF's routing id to the next (default 1)",
            (s, v) => s with { VfStride = NumberOf(v, ushort.MaxValue) }),
    ];

    private static ushort NumberOf(OptionValue value, int most) =>
        ByteSize.TryParseNumber(value.Text, out ulong number) && number != 0 && number <= (ulong)most
            ? (ushort)number
            : throw value.Fault($": the number must be from 1 to {most}");

    private static TestSpec WithVfBar(TestSpec spec, int index, OptionValue value)
    {
        string[] parts = value.Text.Split(':');
        if (parts.Length != 2 || !BarKinds.TryParse(parts[0], out BarKind kind) || kind == BarKind.Io)
        {
            throw value.Fault(": a VF BAR is KIND:SIZE with kind mem32, mem32p, mem64 or mem64p; every access to it exits");
        }

        (ulong smallest, ulong largest) = (BarRules.SmallestSize(kind), BarRules.LargestSize(kind));
        if (!TryPowerOfTwo(parts[1], smallest, largest, out ulong size))
        {
            throw value.Fault($": the size of a {kind.Keyword()} VF BAR must be a power of two from {ByteSize.Format(smallest)} to {ByteSize.Format(largest)}");
        }

        return kind.Is64Bit() && index == 5
            ? throw value.Fault(": a 64-bit BAR takes two registers and cannot start at vf-bar5; use vf-bar0 to vf-bar4")
            : spec with { VfRegisters = [.. spec.VfRegisters.Append(new TestBar(BarIndex.Vf0 + index, kind, size, false)).OrderBy(bar => bar.Index)] };
    }

    private static TestSpec WithBar(TestSpec spec, int index, OptionValue value)
    {
        string[] parts = value.Text.Split(':');
        if (parts.Length is < 2 or > 3 || !BarKinds.TryParse(parts[0], out BarKind kind))
        {
            throw value.Fault(": a BAR is KIND:SIZE or KIND:SIZE:BACKING with kind io, mem32, mem32p, mem64 or mem64p");
        }

        string word = parts.Length == 3 ? parts[2] : "trap";
        if (word is not ("trap" or "ram"))
        {
            throw value.Fault(": the backing must be trap or ram");
        }

        bool isRam = word == "ram";
        if (isRam && !kind.IsMemory())
        {
            throw value.Fault(": an I/O BAR cannot be backed by ram, only by trap");
        }

        ulong smallest = isRam ? Page : BarRules.SmallestSize(kind);
        ulong largest = kind.IsMemory() ? BarRules.LargestSize(kind) : LargestIo;
        if (!TryPowerOfTwo(parts[1], smallest, largest, out ulong size))
        {
            string article = kind == BarKind.Io ? "an" : "a";
            throw value.Fault($": the size of {article} {kind.Keyword()} BAR backed by {word} must be a power of two from "
                + $"{ByteSize.Format(smallest)} to {ByteSize.Format(largest)}");
        }

        return kind.Is64Bit() && index == 5
            ? throw value.Fault(": a 64-bit BAR takes two registers and cannot start at bar5; use bar0 to bar4")
            : spec with { Registers = [.. spec.Registers.Append(new TestBar(index, kind, size, isRam)).OrderBy(bar => bar.Index)] };
    }

    private static bool TryPowerOfTwo(string text, ulong smallest, ulong largest, out ulong size) =>
        ByteSize.TryParse(text, out size) && BitOperations.IsPow2(size) && size >= smallest && size <= largest;

    private static TestSpec Finish(TestSpec spec, OptionContext context)
    {
        CheckHalves(spec.Registers, context);
        CheckHalves(spec.VfRegisters, context);
        CheckVfs(spec, context);

        // A quarter of the BAR holds the table's 16-byte entries.
        ulong needed = Math.Max(SmallestMsixBar, MsixBytesPerVector * (ulong)spec.MsixVectors);
        if (spec.MsixVectors > 0 && !spec.Registers.Any(bar => !bar.IsRam && bar.Kind.IsMemory() && bar.Size >= needed))
        {
            throw context.Fault($"msix={spec.MsixVectors} needs a memory BAR backed by trap of at least "
                + $"{ByteSize.Format(BitOperations.RoundUpToPowerOf2(needed))} for its table");
        }

        return PciOptions.CheckPins(spec, context, spec.Id!, "give it one or drop the pin");
    }

    private static void CheckHalves(IReadOnlyList<TestBar> bars, OptionContext context)
    {
        foreach ((TestBar below, TestBar bar) in bars.Zip(bars.Skip(1)))
        {
            if (below.Kind.Is64Bit() && bar.Index == below.Index + 1)
            {
                throw context.Fault($"{BarIndex.Name(bar.Index)} is the upper half of the 64-bit {BarIndex.Name(below.Index)}; use another index for it");
            }
        }
    }

    private static void CheckVfs(TestSpec spec, OptionContext context)
    {
        if (spec.Vfs == 0 && (spec.VfRegisters.Count > 0 || context.Find("vf-offset") is not null || context.Find("vf-stride") is not null))
        {
            throw context.Fault("vf-bar0= to vf-bar5=, vf-offset= and vf-stride= describe virtual functions, and there are none; add vfs=N");
        }

        // Larger than this no VF BAR can be, with the largest page that a guest may ask for.
        ulong most = BarRules.LargestSize(BarKind.Memory64) / Math.Max(spec.Vfs, (ushort)1);
        foreach (TestBar bar in spec.VfRegisters)
        {
            if (bar.Size > most)
            {
                throw context.Fault($"{BarIndex.Name(bar.Index)} of {ByteSize.Format(bar.Size)} for each of {spec.Vfs} VFs is more than "
                    + $"{ByteSize.Format(BarRules.LargestSize(BarKind.Memory64))} in all; make it smaller, or the VFs fewer");
            }
        }
    }
}
