using Aperture.Configuration.Options;

namespace Aperture.Configuration.Kinds;

/// <summary>The kinds of <c>--device</c>. A new kind is one more file in this folder and one more line here.</summary>
public static class DeviceKinds
{
    /// <summary>All of them, in the order that help and messages have.</summary>
    public static IReadOnlyList<DeviceKind> All { get; } =
    [
        TestSpec.TheKind, VfioSpec.TheKind, VfioUserSpec.TheKind, DiskSpec.TheKind, VgaSpec.TheKind, DebugExitSpec.TheKind, DebugConsoleSpec.TheKind,
        PcTestDeviceSpec.TheKind,
    ];

    /// <summary>The words, for messages.</summary>
    public static string Words { get; } = string.Join(", ", All.Select(k => k.Word));

    private static readonly string Examples = string.Join(" or ", All.Select(k => k.Example));

    /// <summary>The kind of this word, or null.</summary>
    public static DeviceKind? Find(string word) => All.FirstOrDefault(k => k.Word == word);

    /// <summary>The device that the value of a <c>--device</c> describes.</summary>
    /// <exception cref="ApertureException">There is no such kind, or an option is wrong; one sentence.</exception>
    public static DeviceSpec Read(OptionList list)
    {
        ArgumentNullException.ThrowIfNull(list);
        DeviceKind kind = Find(list.Head)
            ?? throw new ApertureException($"--device {list.Spell()}: '{list.Head}' is not a device; write {Examples}.");
        return kind.Read(list);
    }
}
