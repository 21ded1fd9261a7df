namespace Aperture.Machine.Configuration;

/// <summary>A kind of <c>--device</c>.</summary>
/// <param name="Name">The leading word.</param>
/// <param name="What">What messages call it.</param>
/// <param name="Example">How its options begin.</param>
/// <param name="Members">Its members in a configuration file.</param>
internal sealed record DeviceType(string Name, string What, string Example, IReadOnlyList<string> Members);

/// <summary>What <c>--device</c> knows.</summary>
internal static class DeviceTypes
{
    /// <summary>All of them.</summary>
    public static IReadOnlyList<DeviceType> All { get; } =
    [
        new("test", "a test device", "test,id=ID,...", ConfigSchema.TestMembers),
        new("vfio", "a vfio device", "vfio,host=0000:01:00.0,...", ConfigSchema.VfioMembers),
        new("debug-exit", "a debug-exit device", "debug-exit,port=0xf4", ["type", "port"]),
        new("debugcon", "a debug console", "debugcon,file=PATH", ["type", "file", "port"]),
    ];

    /// <summary>The names, for messages.</summary>
    public static string Names { get; } = string.Join(", ", All.Select(t => t.Name));

    /// <summary>Examples, for messages.</summary>
    public static string Examples { get; } = string.Join(" or ", All.Select(t => t.Example));

    /// <summary>The type of this name, or null.</summary>
    public static DeviceType? Find(string name) => All.FirstOrDefault(t => t.Name == name);
}
