using System.Globalization;
using System.Runtime.Intrinsics.X86;

namespace Aperture.Cli.Verbs;

/// <summary>This machine's physical address width, without KVM.</summary>
/// <param name="Bits">The bits.</param>
/// <param name="Origin">Where the number comes from, as it reads after "46 physical address bits, ".</param>
internal sealed record HostAddressBits(int Bits, string Origin)
{
    // What CpuidTable takes when a processor does not say either.
    private const int Fallback = 36;

    // What arm64 has without large addresses (Arm ARM DDI 0487, D8.1, OA size of a 4 KiB granule without FEAT_LPA2).
    private const int OfArm = 48;
    private const uint LastLeaf = 0x8000_0000;
    private const uint AddressSizeLeaf = 0x8000_0008;

    /// <summary>
    /// The width of a machine of Arm's kind: that of most hosts, wherever the plan is made. One that has fewer says so when the machine is to run there.
    /// </summary>
    public static HostAddressBits Arm { get; } = new(OfArm, "those of arm64 without large addresses");

    /// <summary>Asks the kernel, which knows of bits that memory encryption takes away, then the processor (Intel SDM volume 2, CPUID 80000008H).</summary>
    public static HostAddressBits Read()
    {
        if (FromCpuInfo(File.Exists("/proc/cpuinfo") ? File.ReadLines("/proc/cpuinfo") : []) is { } bits)
        {
            return new HostAddressBits(bits, "those of this host's processor (/proc/cpuinfo)");
        }

        int leaf = FromCpuid();
        return leaf > 0
            ? new HostAddressBits(leaf, "those of this host's processor (CPUID)")
            : new HostAddressBits(Fallback, "assumed, because this host does not say; give --phys-bits");
    }

    /// <summary>The number in the first line <c>address sizes : 46 bits physical, ...</c>, or null.</summary>
    internal static int? FromCpuInfo(IEnumerable<string> lines)
    {
        string? line = lines.FirstOrDefault(l => l.StartsWith("address sizes", StringComparison.Ordinal));
        string[] words = line is null ? [] : line[(line.IndexOf(':', StringComparison.Ordinal) + 1)..].Split(' ', StringSplitOptions.RemoveEmptyEntries);
        return words.Length > 1 && words[1] == "bits" && int.TryParse(words[0], NumberStyles.None, CultureInfo.InvariantCulture, out int bits) ? bits : null;
    }

    // 0 when the processor does not say.
    private static int FromCpuid() => X86Base.IsSupported && (uint)X86Base.CpuId(unchecked((int)LastLeaf), 0).Eax >= AddressSizeLeaf
        ? X86Base.CpuId(unchecked((int)AddressSizeLeaf), 0).Eax & 0xFF
        : 0;
}
