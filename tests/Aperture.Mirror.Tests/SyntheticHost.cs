using System.Buffers.Binary;
using System.Globalization;
using System.Text;
using Aperture.Host;
using Aperture.Host.Model;

namespace Aperture.Mirror.Tests;

/// <summary>
/// Writes machines as lspci prints them: host bridges, root ports, switches and endpoints, laid out by bump allocation from the bottom up, so that every
/// BAR is aligned, nothing overlaps and every window covers what is below it.
/// </summary>
internal sealed class SyntheticHost
{
    private const ulong Mebibyte = 1 << 20;

    private readonly StringBuilder _text = new();
    private ulong _low;
    private ulong _high;
    private ulong _ports = 0x2000;
    private uint _domain;
    private int _nextBus;

    internal SyntheticHost(ulong low = 0x9000_0000, ulong high = 0x3800_0000_0000) => (_low, _high) = (low, high);

    /// <summary>A host bridge that tells that the machine is a PC of <paramref name="vendor"/>.</summary>
    internal SyntheticHost Root(uint domain, byte bus, ushort vendor = 0x8086, bool hostBridge = true)
    {
        (_domain, _nextBus) = (domain, bus + 1);
        RootBus = bus;
        return hostBridge ? Function(bus, 0, 0, Header(vendor, 0x3C00, 0x060000)) : this;
    }

    internal byte RootBus { get; private set; }

    /// <summary>A root port with endpoints directly below; each endpoint is its BARs' sizes.</summary>
    internal SyntheticHost Port(int device, params BarText[][] endpoints) => Bridge(RootBus, device, 4, bus =>
    {
        for (int i = 0; i < endpoints.Length; i++)
        {
            Endpoint(bus, 0, i, endpoints[i]);
        }
    });

    /// <summary>A root port with a switch of one downstream port for each endpoint.</summary>
    internal SyntheticHost Switch(int device, params BarText[][] endpoints) => Bridge(RootBus, device, 4, upstream => Bridge(upstream, 0, 5, inner =>
    {
        for (int i = 0; i < endpoints.Length; i++)
        {
            BarText[] bars = endpoints[i];
            Bridge(inner, i, 6, bus => Endpoint(bus, 0, 0, bars));
        }
    }));

    /// <summary>An endpoint with BARs wherever the generator is.</summary>
    internal SyntheticHost Endpoint(byte bus, int device, int function, params BarText[] bars)
    {
        byte[] config = Header(0x10DE, 0x2330, 0x030200);
        StringBuilder lines = new();
        int index = 0;
        foreach (BarText bar in bars)
        {
            // A machine has 64 Ki ports: what comes after the last whole window has none.
            if (bar.Kind == "io" && bar.Address is null && _ports >= 0xF000)
            {
                continue;
            }

            ulong at = bar.Address
                ?? (bar.Kind switch { "io" => Take(ref _ports, bar.Size), "mem64p" => Take(ref _high, bar.Size), _ => Take(ref _low, bar.Size) });
            lines.Append(Put(config, index, bar.Kind, at, bar.Size));
            index += bar.Kind.StartsWith("mem64", StringComparison.Ordinal) ? 2 : 1;
        }

        return Function(bus, device, function, config, lines.ToString());
    }

    /// <summary>A function as it is.</summary>
    internal SyntheticHost Function(byte bus, int device, int function, byte[] config, string lines = "")
    {
        if (function == 0)
        {
            config[0x0E] |= 0x80;
        }

        _text.Append(CultureInfo.InvariantCulture, $"{_domain:x4}:{bus:x2}:{device:x2}.{function} Some device: Some vendor\n{lines}");
        for (int at = 0; at < config.Length; at += 16)
        {
            _text.Append(CultureInfo.InvariantCulture,
                $"{at:x2}: {string.Join(' ', config.Skip(at).Take(16).Select(b => b.ToString("x2", CultureInfo.InvariantCulture)))}\n");
        }

        _text.Append('\n');
        return this;
    }

    internal string Text => _text.ToString();

    internal HostMachine Read() => HostReader.ReadLspci(_text.ToString(), "synthetic");

    internal static byte[] Header(ushort vendor, ushort device, uint classCode, byte header = 0)
    {
        byte[] config = new byte[64];
        BinaryPrimitives.WriteUInt16LittleEndian(config, vendor);
        BinaryPrimitives.WriteUInt16LittleEndian(config.AsSpan(2), device);
        config[4] = 7;
        BinaryPrimitives.WriteUInt32LittleEndian(config.AsSpan(8), classCode << 8);
        config[0x0E] = header;
        return config;
    }

    private SyntheticHost Bridge(byte bus, int device, int type, Action<byte> below)
    {
        byte secondary = (byte)_nextBus++;

        // Windows start where the generator stands, on their granule.
        (_low, _high, _ports) = (Up(_low, Mebibyte), Up(_high, Mebibyte), Up(_ports, 0x1000));
        (ulong memory, ulong prefetchable, ulong io) = (_low, _high, _ports);
        below(secondary);
        (_low, _high, _ports) = (Up(_low, Mebibyte), Up(_high, Mebibyte), Up(_ports, 0x1000));
        byte[] config = Header(0x8086, (ushort)(0x2030 + type), 0x060400, 1);
        (config[0x18], config[0x19], config[0x1A]) = (bus, secondary, (byte)(_nextBus - 1));
        (config[0x1C], config[0x1D]) = io == _ports ? ((byte)0xF0, (byte)0) : ((byte)(io >> 8), (byte)((_ports - 1) >> 8 & 0xF0));
        U16(config, 0x20, memory == _low ? 0xFFF0 : memory >> 16);
        U16(config, 0x22, memory == _low ? 0 : (_low - 1) >> 16 & 0xFFF0);
        U16(config, 0x24, (prefetchable == _high ? 0xFFF0 : prefetchable >> 16 & 0xFFF0) | 1);
        U16(config, 0x26, (prefetchable == _high ? 0 : (_high - 1) >> 16 & 0xFFF0) | 1);
        BinaryPrimitives.WriteUInt32LittleEndian(config.AsSpan(0x28), prefetchable == _high ? 0 : (uint)(prefetchable >> 32));
        BinaryPrimitives.WriteUInt32LittleEndian(config.AsSpan(0x2C), prefetchable == _high ? 0 : (uint)((_high - 1) >> 32));
        return Function(bus, device, 0, config);
    }

    private static string Put(byte[] config, int index, string kind, ulong at, ulong size)
    {
        uint bits = kind switch { "io" => 1u, "mem64p" => 0xCu, "mem64" => 4u, "mem32p" => 8u, _ => 0u };
        BinaryPrimitives.WriteUInt32LittleEndian(config.AsSpan(0x10 + 4 * index), (uint)at | bits);
        if ((bits & 5) == 4)
        {
            BinaryPrimitives.WriteUInt32LittleEndian(config.AsSpan(0x14 + 4 * index), (uint)(at >> 32));
        }

        string width = kind.Contains("64", StringComparison.Ordinal) ? "64" : "32";
        string type = kind == "io" ? $"I/O ports at {at:x}" : $"Memory at {at:x} ({width}-bit, {(kind.EndsWith('p') ? "" : "non-")}prefetchable)";
        return $"\tRegion {index}: {type} [size={ByteSize.Format(size)}]\n";
    }

    private static void U16(byte[] config, int at, ulong value) => BinaryPrimitives.WriteUInt16LittleEndian(config.AsSpan(at), (ushort)value);

    private static ulong Take(ref ulong cursor, ulong size)
    {
        ulong at = Up(cursor, size);
        cursor = at + size;
        return at;
    }

    private static ulong Up(ulong value, ulong granule) => (value + granule - 1) & ~(granule - 1);
}

/// <summary>A BAR of a synthetic endpoint.</summary>
/// <param name="Kind">As Aperture spells kinds.</param>
/// <param name="Size">Bytes.</param>
/// <param name="Address">Where, or null for the next free place.</param>
internal sealed record BarText(string Kind, ulong Size, ulong? Address = null);
