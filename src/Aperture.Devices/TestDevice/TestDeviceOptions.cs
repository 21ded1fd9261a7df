using System.Diagnostics.CodeAnalysis;
using System.Globalization;
using System.Numerics;
using Aperture.Devices.Display;
using Aperture.Pci;

namespace Aperture.Devices.TestDevice;

/// <summary>
/// Reads <c>--device test,id=ID,addr=01.0,bar0=mem32:1M:trap,bar2=mem64p:64G:ram,bar4=io:256,rom=64K,port=ID,msi=N,msix=N,ids=VVVV:DDDD</c>.
/// Each refusal is one sentence that names the device, the option and what is legal. Placement options (pins) belong to the machine, which takes them out
/// first.
/// </summary>
public sealed class TestDeviceOptions
{
    private const int LongestId = 64;
    private const ulong LargestIo = 256;
    private const ulong Page = 4096;

    private readonly List<TestBarSpec> _bars = [];
    private readonly HashSet<string> _seen = [];
    private string? _id;
    private string? _port;
    private byte? _deviceFunction;
    private uint _romSize;
    private string? _romFile;
    private (ushort Vendor, ushort Device) _ids = (TestFunction.TestVendor, TestFunction.TestDevice);
    private int _msi;
    private int _msix;

    private TestDeviceOptions()
    {
    }

    /// <summary>True for the options that <see cref="TryParse"/> knows.</summary>
    public static bool OwnsKey(string key) => key is "id" or "addr" or "port" or "rom" or "ids" or "msi" or "msix" || BarIndex(key) >= 0;

    /// <summary>Reads the options after <c>test</c>, in any order.</summary>
    /// <param name="options">Keys and values as the user wrote them.</param>
    /// <param name="spec">The device on success.</param>
    /// <param name="error">One sentence without a full stop on failure.</param>
    public static bool TryParse(
        IReadOnlyList<KeyValuePair<string, string>> options,
        [NotNullWhen(true)] out TestDeviceSpec? spec,
        [NotNullWhen(false)] out string? error)
    {
        ArgumentNullException.ThrowIfNull(options);
        TestDeviceOptions reader = new();
        string? name = options.FirstOrDefault(option => option.Key == "id").Value;
        string device = string.IsNullOrEmpty(name) ? "test device" : $"test device {name}";
        spec = null;
        foreach ((string key, string value) in options)
        {
            string? fault = reader._seen.Add(key) ? reader.Take(key, value) : "the option is given twice";
            if (fault is not null)
            {
                error = $"{device}: {key}={value}: {fault}";
                return false;
            }
        }

        string? missing = reader.Finish(out spec);
        error = missing is null ? null : $"{device}: {missing}";
        return spec is not null;
    }

    private static int BarIndex(string key) =>
        key.Length == 4 && key.StartsWith("bar", StringComparison.Ordinal) && key[3] is >= '0' and <= '5' ? key[3] - '0' : -1;

    // Null when the option was taken, else what is wrong with it.
    private string? Take(string key, string value) => key switch
    {
        "id" => TakeId(value),
        "addr" => TakeAddress(value),
        "port" => TakePort(value),
        "rom" => TakeRom(value),
        "ids" => TakeIds(value),
        "msi" => TakeVectors(value, 32, true, ref _msi),
        "msix" => TakeVectors(value, 2048, false, ref _msix),
        _ when BarIndex(key) is >= 0 and int index => TakeBar(index, value),
        _ => "there is no such option; the options are id, addr, port, bar0 to bar5, rom, ids, msi and msix",
    };

    private static bool IsName(string text) =>
        text.Length is > 0 and <= LongestId && text.All(c => char.IsAsciiLetterOrDigit(c) || c is '-' or '_' or '.');

    private string? TakeId(string value)
    {
        _id = value;
        return IsName(value) ? null : $"an id has 1 to {LongestId} letters, digits, dashes, dots and underscores";
    }

    private string? TakePort(string value)
    {
        _port = value;
        return IsName(value) ? null : "the value must be the id of a root port or of a switch's downstream port";
    }

    private string? TakeAddress(string value)
    {
        bool valid = Bdf.TryParseDeviceFunction(value, out byte deviceFunction);
        _deviceFunction = deviceFunction;
        return valid ? null : "the address must be DEVICE.FUNCTION in hexadecimal, 00.0 to 1f.7";
    }

    // A size starts with a digit, anything else is a file.
    private string? TakeRom(string value)
    {
        ulong smallest = BarRules.SmallestSize(BarKind.Rom);
        ulong largest = BarRules.LargestSize(BarKind.Rom);
        if (value.Length > 0 && !char.IsAsciiDigit(value[0]))
        {
            FileInfo file = new(value);
            if (!file.Exists || file.Length == 0 || (ulong)file.Length > largest)
            {
                return $"there is no such file of at most {ByteSize.Format(largest)} (a size starts with a digit, a file's name must not)";
            }

            _romFile = value;
            _romSize = (uint)ExpansionRom.SizeFor((int)file.Length);
            return null;
        }

        if (!TryPowerOfTwo(value, smallest, largest, out ulong size))
        {
            return $"a ROM's size must be a power of two from {ByteSize.Format(smallest)} to {ByteSize.Format(largest)}";
        }

        _romSize = (uint)size;
        return null;
    }

    private string? TakeIds(string value)
    {
        string[] parts = value.Split(':');
        bool valid = parts.Length == 2;
        valid &= ushort.TryParse(parts[0], NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture, out ushort vendor) & ushort.TryParse(
            parts[^1], NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture, out ushort device);
        _ids = (vendor, device);

        // A vendor id of all ones means that there is no function (PCI Local Bus 3.0, section 6.2.1).
        return valid && vendor != 0xFFFF ? null : "the ids must be VENDOR:DEVICE in hexadecimal, and the vendor's not ffff";
    }

    private static string? TakeVectors(string value, int most, bool powerOfTwo, ref int vectors)
    {
        if (!ByteSize.TryParseNumber(value, out ulong number) || number == 0 || number > (ulong)most || (powerOfTwo && !BitOperations.IsPow2(number)))
        {
            return powerOfTwo ? $"the number of vectors must be a power of two from 1 to {most}" : $"the number of vectors must be from 1 to {most}";
        }

        vectors = (int)number;
        return null;
    }

    private string? TakeBar(int index, string value)
    {
        string[] parts = value.Split(':');
        if (parts.Length is < 2 or > 3 || !BarKinds.TryParse(parts[0], out BarKind kind))
        {
            return "a BAR is KIND:SIZE or KIND:SIZE:BACKING with kind io, mem32, mem32p, mem64 or mem64p";
        }

        string word = parts.Length == 3 ? parts[2] : "trap";
        if (word is not ("trap" or "ram"))
        {
            return "the backing must be trap or ram";
        }

        TestBacking backing = word == "ram" ? TestBacking.Ram : TestBacking.Trap;
        if (backing == TestBacking.Ram && !kind.IsMemory())
        {
            return "an I/O BAR cannot be backed by ram, only by trap";
        }

        ulong smallest = backing == TestBacking.Ram ? Page : BarRules.SmallestSize(kind);
        ulong largest = kind.IsMemory() ? BarRules.LargestSize(kind) : LargestIo;
        if (!TryPowerOfTwo(parts[1], smallest, largest, out ulong size))
        {
            return $"the size of {Article(kind)} {kind.Keyword()} BAR backed by {word} must be a power of two from {ByteSize.Format(smallest)} to "
                + $"{ByteSize.Format(largest)}";
        }

        if (kind.Is64Bit() && index == 5)
        {
            return "a 64-bit BAR takes two registers and cannot start at bar5; use bar0 to bar4";
        }

        _bars.Add(new TestBarSpec(index, kind, size, backing));
        return null;
    }

    private static string Article(BarKind kind) => kind == BarKind.Io ? "an" : "a";

    private static bool TryPowerOfTwo(string text, ulong smallest, ulong largest, out ulong size) =>
        ByteSize.TryParse(text, out size) && BitOperations.IsPow2(size) && size >= smallest && size <= largest;

    // Checks what needs all options together.
    private string? Finish(out TestDeviceSpec? spec)
    {
        spec = null;
        if (_id is null)
        {
            return "an id is missing; give id=NAME";
        }

        _bars.Sort((a, b) => a.Index.CompareTo(b.Index));
        for (int i = 1; i < _bars.Count; i++)
        {
            if (_bars[i - 1].Kind.Is64Bit() && _bars[i].Index == _bars[i - 1].Index + 1)
            {
                return $"bar{_bars[i].Index} is the upper half of the 64-bit bar{_bars[i - 1].Index}; use another index for it";
            }
        }

        TestDeviceSpec made = new()
        {
            Id = _id,
            DeviceFunction = _deviceFunction,
            Port = _port,
            Bars = _bars,
            RomSize = _romSize,
            RomFile = _romFile,
            Vendor = _ids.Vendor,
            Device = _ids.Device,
            MsiVectors = _msi,
            MsixVectors = _msix,
        };
        if (_msix > 0 && made.MsixPlace is null)
        {
            ulong needed = BitOperations.RoundUpToPowerOf2(Math.Max(TestDeviceSpec.SmallestMsixBar, TestDeviceSpec.MsixBytesPerVector * (ulong)_msix));
            return $"msix={_msix} needs a memory BAR backed by trap of at least {ByteSize.Format(needed)} for its table";
        }

        spec = made;
        return null;
    }
}
