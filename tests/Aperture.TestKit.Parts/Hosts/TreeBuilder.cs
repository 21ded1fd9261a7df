using System.Formats.Tar;
using System.Text;
using Aperture.Host;
using Aperture.Host.Model;

namespace Aperture.TestKit.Parts.Hosts;

/// <summary>Lays a sysfs tree out in a folder of its own, and removes it.</summary>
public sealed class TreeBuilder : IDisposable
{
    private readonly TemporaryFolder _folder = new();

    public TreeBuilder(string sys = "sys")
    {
        Sys = sys.Length == 0 ? Root : Path.Join(Root, sys);
        Directory.CreateDirectory(Path.Join(Sys, "bus/pci/devices"));
    }

    public string Root => _folder.Path;

    public string Sys { get; }

    /// <summary>Adds a function: its directory below sys/devices at <paramref name="above"/>, and the link in the bus' list.</summary>
    public string Function(string above, string address, byte[] config, params string[] resources)
    {
        string place = $"devices/{above}/{address}";
        File(place + "/config", config);
        if (resources.Length != 0)
        {
            File(place + "/resource", string.Concat(resources.Select(static line => line + "\n")));
        }

        Link($"bus/pci/devices/{address}", "../../../" + place);
        return place;
    }

    public void File(string place, byte[] content)
    {
        string path = Path.Join(Sys, place);
        Directory.CreateDirectory(Path.GetDirectoryName(path)!);
        System.IO.File.WriteAllBytes(path, content);
    }

    public void File(string place, string content) => File(place, Encoding.ASCII.GetBytes(content));

    public void Link(string place, string target)
    {
        string path = Path.Join(Sys, place);
        Directory.CreateDirectory(Path.GetDirectoryName(path)!);
        System.IO.File.CreateSymbolicLink(path, target);
    }

    public HostMachine Read() => HostReader.Read(Root);

    public void Dispose() => _folder.Dispose();

    /// <summary>A line of a resource file.</summary>
    public static string Line(ulong start, ulong size, ulong flags) =>
        size == 0 ? Empty : $"0x{start:x16} 0x{start + size - 1:x16} 0x{flags:x16}";

    public const string Empty = "0x0000000000000000 0x0000000000000000 0x0000000000000000";

    /// <summary>The lines of an endpoint: BARs, then nothing for the ROM and the VFs.</summary>
    public static string[] Lines(params string[] bars) => [.. bars, .. Enumerable.Repeat(Empty, 13 - bars.Length)];
}

/// <summary>Makes archives in memory.</summary>
public static class Archive
{
    public static byte[] Make(params (TarEntryType Type, string Name, string Content)[] entries)
    {
        using MemoryStream output = new();
        using (TarWriter writer = new(output, TarEntryFormat.Gnu, leaveOpen: true))
        {
            foreach ((TarEntryType type, string name, string content) in entries)
            {
                GnuTarEntry entry = new(type, name);
                if (type is TarEntryType.SymbolicLink or TarEntryType.HardLink)
                {
                    entry.LinkName = content;
                }
                else if (type == TarEntryType.RegularFile)
                {
                    entry.DataStream = new MemoryStream(Encoding.Latin1.GetBytes(content));
                }

                writer.WriteEntry(entry);
            }
        }

        return output.ToArray();
    }

    public static HostMachine Read(byte[] content) => HostReader.ReadStream(new MemoryStream(content), "capture.tar");

    public static string Text(byte[] bytes) => Encoding.Latin1.GetString(bytes);
}

/// <summary>Shorthand.</summary>
public static class Say
{
    public static PciAddress Address(string text) => PciAddress.TryParse(text, out PciAddress address) ? address : throw new ArgumentException(text);

    public static HostFunction At(this HostMachine machine, string address) => machine.Find(Address(address)) ?? throw new ArgumentException(address);

    public static string Refusal(Action act)
    {
        ApertureException error = Assert.Throws<ApertureException>(act);
        Assert.Equal(ApertureException.ConfigurationError, error.ExitCode);
        Assert.DoesNotContain('\n', error.Message);
        return error.Message;
    }

    /// <summary>A dump of one function, as lspci -xxxx writes it.</summary>
    public static string Dump(string address, byte[] config, string details = "")
    {
        StringBuilder text = new($"{address} Some device: Some vendor\n{details}");
        for (int at = 0; at < config.Length; at += 16)
        {
            text.Append($"{at:x2}:");
            foreach (byte b in config.AsSpan(at, 16))
            {
                text.Append($" {b:x2}");
            }

            text.Append('\n');
        }

        return text.Append('\n').ToString();
    }
}
