using Aperture.Machine.Topology;

namespace Aperture.Machine.Configuration;

/// <summary>
/// A virtual machine's configuration in JSON (docs/vm-config.schema.json): the options of the command line, written down. Reading it yields those
/// options, so that a file and a command line cannot mean different things.
/// </summary>
public static class ConfigFile
{
    /// <summary>The option that names such a file.</summary>
    public const string Option = "--config";

    /// <summary>The longest file read, in bytes.</summary>
    public const int MaxLength = 4 << 20;

    /// <summary>
    /// <paramref name="values"/> with <see cref="Option"/> replaced by what its file says. The file's options come first, so that those of the command
    /// line override single ones and add to the lists.
    /// </summary>
    /// <exception cref="ApertureException">The file cannot be read or says something that no option can; with file, line and JSON path.</exception>
    public static IReadOnlyList<KeyValuePair<string, string>> Expand(IReadOnlyList<KeyValuePair<string, string>> values)
    {
        ArgumentNullException.ThrowIfNull(values);
        List<KeyValuePair<string, string>> all = [];
        foreach ((_, string path) in values.Where(v => v.Key == Option))
        {
            all.AddRange(Parse(ReadAll(path), path));
        }

        all.AddRange(values.Where(v => v.Key != Option));
        return all;
    }

    /// <summary>The options that <paramref name="utf8"/> states, in its order. <paramref name="file"/> is its name in messages.</summary>
    /// <exception cref="ApertureException">It is not JSON or not a configuration.</exception>
    public static IReadOnlyList<KeyValuePair<string, string>> Parse(ReadOnlySpan<byte> utf8, string file)
    {
        ConfigValue root = ConfigJson.Parse(utf8, file);
        List<ConfigOption> options = new ConfigSchema(file).Options(root);
        foreach (ConfigOption option in options)
        {
            Check(option, file);
        }

        return [.. options.Select(o => new KeyValuePair<string, string>(o.Name, o.Value))];
    }

    // The option's own reader looks at its form here, while the place in the file is still known.
    private static void Check(ConfigOption option, string file)
    {
        try
        {
            MachineConfig config = ConfigReader.Apply(new MachineConfig(), option.Name, option.Value);
            foreach (DeviceConfig device in config.Devices.Where(d => d.Type == "test"))
            {
                TopologyBuilder.ReadTest(device);
            }

            DebugExitPorts.Read(config);
        }
        catch (ApertureException fault)
        {
            throw ConfigJson.Fault(file, option.Source.Line, option.Source.Path, fault.Message);
        }
    }

    private static byte[] ReadAll(string path)
    {
        if (path.Length == 0)
        {
            throw new ApertureException($"{Option} needs a file name.");
        }

        try
        {
            using FileStream stream = File.OpenRead(path);
            byte[] buffer = new byte[MaxLength + 1];
            int length = stream.ReadAtLeast(buffer, buffer.Length, throwOnEndOfStream: false);
            return length <= MaxLength
                ? buffer[..length]
                : throw new ApertureException($"{path} is longer than {ByteSize.Format(MaxLength)}, so it is not a configuration file.");
        }
        catch (Exception fault) when (fault is IOException or UnauthorizedAccessException or ArgumentException or NotSupportedException)
        {
            throw new ApertureException($"The configuration file {path} cannot be read: {fault.Message}", innerException: fault);
        }
    }
}

/// <summary>An option that a configuration file states.</summary>
/// <param name="Name">With its dashes.</param>
/// <param name="Value">As the command line would spell it; empty for a flag.</param>
/// <param name="Source">Where it stands.</param>
internal sealed record ConfigOption(string Name, string Value, ConfigValue Source);
