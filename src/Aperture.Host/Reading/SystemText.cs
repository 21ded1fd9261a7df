using System.Collections.Immutable;
using System.Globalization;
using Aperture.Host.Model;

namespace Aperture.Host.Reading;

/// <summary>Reads the texts that <see cref="SystemReader"/> finds; what is not as the kernel writes it is not told.</summary>
internal static class SystemText
{
    /// <summary>A hexadecimal register as sysfs prints it, without 0x; AMD's features have a second word behind a colon.</summary>
    internal static ulong? Register(string? text) =>
        text is not null && ulong.TryParse(text.AsSpan(0, Before(text, ':')).Trim(), NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture,
            out ulong value)
            ? value
            : null;

    /// <summary>The release in <c>/proc/version</c>, <c>Linux version 6.12.4-amd64 (...)</c>, which other tools capture.</summary>
    internal static string? Release(string? text) => (text ?? "").Split(' ') is ["Linux", "version", { Length: > 0 } release, ..] ? release : null;

    /// <summary>A decimal number.</summary>
    internal static ulong? Number(string? text) =>
        ulong.TryParse(text.AsSpan().Trim(), NumberStyles.None, CultureInfo.InvariantCulture, out ulong value) ? value : null;

    /// <summary>The page size that a pool's folder is named by: <c>hugepages-2048kB</c>.</summary>
    internal static ulong? PageSize(string name)
    {
        const string Start = "hugepages-";
        return name.StartsWith(Start, StringComparison.Ordinal) && name.EndsWith("kB", StringComparison.Ordinal)
            && Number(name[Start.Length..^2]) is { } kilobytes and < 1UL << 40 ? kilobytes << 10 : null;
    }

    /// <summary>The first processor of <c>/proc/cpuinfo</c>.</summary>
    internal static HostProcessor? Processor(string text)
    {
        string Told(string name)
        {
            string? line = text.Split('\n').FirstOrDefault(line => line.StartsWith(name, StringComparison.Ordinal));
            return line is not null && line.IndexOf(':', StringComparison.Ordinal) is var colon and > 0 ? line[(colon + 1)..].Trim() : "";
        }

        string[] sizes = Told("address sizes").Split(' ');
        int? bits = sizes.Length > 1 && sizes[1] == "bits" && Number(sizes[0]) is { } told and > 0 and <= 64 ? (int)told : null;
        string vendor = Told("vendor_id");
        string model = Told("model name");
        return vendor.Length == 0 && model.Length == 0 && bits is null
            ? null
            : new HostProcessor(vendor, (int)Math.Min(Number(Told("cpu family")) ?? 0, int.MaxValue), model, bits);
    }

    /// <summary>The soft limit of <c>Max locked memory</c> in <c>/proc/self/limits</c>.</summary>
    internal static ulong? LockedMemory(string? text)
    {
        const string Name = "Max locked memory";
        string? line = text?.Split('\n').FirstOrDefault(static line => line.StartsWith(Name, StringComparison.Ordinal));
        string[] words = (line ?? "").Split(' ', StringSplitOptions.RemoveEmptyEntries);
        return words.Length < 4 ? null : words[3] == "unlimited" ? ulong.MaxValue : Number(words[3]);
    }

    /// <summary>Whether <c>CapEff</c> of <c>/proc/self/status</c> has CAP_IPC_LOCK, bit 14 (linux/capability.h).</summary>
    internal static bool? MayLock(string? text)
    {
        const int IpcLock = 14;
        string? line = text?.Split('\n').FirstOrDefault(static line => line.StartsWith("CapEff:", StringComparison.Ordinal));
        return Register(line?["CapEff:".Length..]) is { } capabilities ? (capabilities >> IpcLock & 1) != 0 : null;
    }

    /// <summary>
    /// The outermost lines <c>38b000000000-38bfffffffff : PCI Bus 0000:17</c> of <c>/proc/iomem</c>; null when there is none that is not zero, which is what
    /// users other than root are shown.
    /// </summary>
    internal static ImmutableArray<HostRootWindow>? RootWindows(string text)
    {
        const string Mark = " : PCI Bus ";
        ImmutableArray<HostRootWindow>.Builder windows = ImmutableArray.CreateBuilder<HostRootWindow>();
        foreach (string line in text.Split('\n').Where(static line => !line.StartsWith(' ')))
        {
            int mark = line.IndexOf(Mark, StringComparison.Ordinal);
            int dash = line.IndexOf('-', StringComparison.Ordinal);
            string[] place = mark < 0 ? [] : line[(mark + Mark.Length)..].Trim().Split(':');
            if (place.Length == 2 && dash > 0 && dash < mark && Register(line[..dash]) is { } first && Register(line[(dash + 1)..mark]) is { } last
                && last > first && Register(place[0]) is { } domain and <= uint.MaxValue && Register(place[1]) is { } bus and <= byte.MaxValue)
            {
                windows.Add(new HostRootWindow((uint)domain, (byte)bus, AddressRange.FromBounds(new GuestAddress(first), new GuestAddress(last))));
            }
        }

        return windows.Count == 0 ? null : windows.ToImmutable();
    }

    private static int Before(string text, char mark) => text.IndexOf(mark, StringComparison.Ordinal) is var at and >= 0 ? at : text.Length;
}
