using Aperture.Configuration.Json;

namespace Aperture.Configuration;

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
    public static IReadOnlyList<Setting> Expand(IReadOnlyList<Setting> values)
    {
        ArgumentNullException.ThrowIfNull(values);
        List<Setting> all = [];
        foreach (Setting file in values.Where(v => v.Name == Option))
        {
            all.AddRange(Parse(ReadAll(file.Text), file.Text));
        }

        all.AddRange(values.Where(v => v.Name != Option));
        return all;
    }

    /// <summary>The options that <paramref name="utf8"/> states, in its order. <paramref name="file"/> is its name in messages.</summary>
    /// <exception cref="ApertureException">It is not JSON or not a configuration.</exception>
    public static IReadOnlyList<Setting> Parse(ReadOnlySpan<byte> utf8, string file)
    {
        ConfigValue root = ConfigJson.Parse(utf8, file);
        List<PlacedSetting> settings = new JsonSettings(file).Read(root);
        foreach ((Setting setting, ConfigValue source) in settings)
        {
            Check(setting, source, file);
        }

        return [.. settings.Select(s => s.Setting)];
    }

    // The option's own reader looks at its form here, while the place in the file is still known.
    private static void Check(Setting setting, ConfigValue source, string file)
    {
        try
        {
            ConfigReader.Apply(new MachineConfig(), setting);
        }
        catch (ApertureException fault)
        {
            throw ConfigJson.Fault(file, source.Line, source.Path, fault.Message);
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
