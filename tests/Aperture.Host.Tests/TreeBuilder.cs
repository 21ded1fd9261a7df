using System.Formats.Tar;
using System.Text;
using Aperture.Host.Model;

namespace Aperture.Host.Tests;

/// <summary>Lays a sysfs tree out in a folder of its own, and removes it.</summary>
internal sealed class TreeBuilder : IDisposable
{
    internal TreeBuilder(string sys = "sys")
    {
        Root = Directory.CreateTempSubdirectory("aperture-host-").FullName;
        Sys = sys.Length == 0 ? Root : Path.Join(Root, sys);
        Directory.CreateDirectory(Path.Join(Sys, "bus/pci/devices"));
    }

    internal string Root { get; }

    internal string Sys { get; }

    /// <summary>Adds a function: its directory below sys/devices at <paramref name="above"/>, and the link in the bus' list.</summary>
    internal string Function(string above, string address, byte[] config, params string[] resources)
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

    internal void File(string place, byte[] content)
    {
        string path = Path.Join(Sys, place);
        Directory.CreateDirectory(Path.GetDirectoryName(path)!);
        System.IO.File.WriteAllBytes(path, content);
    }

    internal void File(string place, string content) => File(place, Encoding.ASCII.GetBytes(content));

    internal void Link(string place, string target)
    {
        string path = Path.Join(Sys, place);
        Directory.CreateDirectory(Path.GetDirectoryName(path)!);
        System.IO.File.CreateSymbolicLink(path, target);
    }

    internal HostMachine Read() => HostReader.Read(Root);

    public void Dispose() => Directory.Delete(Root, recursive: true);

    /// <summary>A line of a resource file.</summary>
    internal static string Line(ulong start, ulong size, ulong flags) =>
        size == 0 ? Empty : $"0x{start:x16} 0x{start + size - 1:x16} 0x{flags:x16}";

    internal const string Empty = "0x0000000000000000 0x0000000000000000 0x0000000000000000";

    /// <summary>The lines of an endpoint: BARs, then nothing for the ROM and the VFs.</summary>
    internal static string[] Lines(params string[] bars) => [.. bars, .. Enumerable.Repeat(Empty, 13 - bars.Length)];
}

/// <summary>Makes archives in memory.</summary>
internal static class Archive
{
    internal static byte[] Make(params (TarEntryType Type, string Name, string Content)[] entries)
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

    internal static HostMachine Read(byte[] content) => HostReader.ReadStream(new MemoryStream(content), "capture.tar");

    internal static string Text(byte[] bytes) => Encoding.Latin1.GetString(bytes);
}

/// <summary>Shorthand.</summary>
internal static class Say
{
    internal static PciAddress Address(string text) => PciAddress.TryParse(text, out PciAddress address) ? address : throw new ArgumentException(text);

    internal static HostFunction At(this HostMachine machine, string address) => machine.Find(Address(address)) ?? throw new ArgumentException(address);

    internal static string Refusal(Action act)
    {
        ApertureException error = Assert.Throws<ApertureException>(act);
        Assert.Equal(ApertureException.ConfigurationError, error.ExitCode);
        Assert.DoesNotContain('\n', error.Message);
        return error.Message;
    }

    /// <summary>A dump of one function, as lspci -xxxx writes it.</summary>
    internal static string Dump(string address, byte[] config, string details = "")
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
