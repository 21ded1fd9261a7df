namespace Aperture.Configuration.Tests;

/// <summary>JSON that looks like a configuration: known and unknown members, values that are often of the right kind.</summary>
internal sealed class RandomConfig(int seed)
{
    private readonly Random _random = new(seed);

    public string Text() => Object(
        _random.Next(0, 5),
        ["kernel", "cmdline", "cpus", "memory", "machine", "serial", "accel", "reboot", "phys_bits", "mmio_window", "root_ports", "switches", "devices",
            "speed"]);

    private string Object(int count, string[] names) =>
        "{" + string.Join(", ", Enumerable.Range(0, count).Select(_ => names[_random.Next(names.Length)]).Distinct()
            .Select(n => $"\"{n}\": {Member(n)}")) + "}";

    private string Member(string name) => _random.Next(8) == 0 ? Any(2) : name switch
    {
        "cpus" => _random.Next(2) == 0 ? Number() : $"{{\"boot\": {Number()}}}",
        "memory" => _random.Next(2) == 0 ? Size() : Object(2, ["size", "hugepages", "shared"]),
        "size" or "rom" => Size(),
        "machine" => "\"q35\"",
        "serial" => "\"null\"",
        "accel" => "\"kvm\"",
        "reboot" or "hugepages" => _random.Next(2) == 0 ? "true" : "false",
        "phys_bits" or "downstream" or "msi" or "msix" => Number(),
        "mmio_window" => Object(2, ["base", "size"]),
        "base" => "\"0x600000000000\"",
        "root_ports" => Array(() => Object(3, ["id", "addr"])),
        "switches" => Array(() => Object(4, ["id", "port", "downstream"])),
        "devices" => Array(() => Object(7, ["type", "id", "port", "addr", "bar0", "bar2", "rom", "msi", "msix", "bars"])),
        "type" => _random.Next(4) == 0 ? "\"debug-exit\"" : "\"test\"",
        "bar0" or "bar2" => _random.Next(2) == 0 ? "\"mem32:1M:trap\"" : "\"mem64p:64G:ram\"",
        "bars" => Object(2, ["bar0", "bar2", "rom"]),
        "addr" => "\"01.0\"",
        _ => Text(_random.Next(1, 5)),
    };

    private string Any(int depth) => _random.Next(depth > 0 ? 7 : 5) switch
    {
        0 => "null",
        1 => "true",
        2 => Number(),
        3 => Text(_random.Next(0, 6)),
        4 => "-1.5e3",
        5 => Array(() => Any(depth - 1)),
        _ => $"{{{Text(3)}: {Any(depth - 1)}}}",
    };

    private string Array(Func<string> item) => $"[{string.Join(",\n", Enumerable.Range(0, _random.Next(0, 3)).Select(_ => item()))}]";

    private string Number() => _random.Next(1, 70).ToString(System.Globalization.CultureInfo.InvariantCulture);

    private string Size() => new[] { "\"512M\"", "\"4G\"", "65536", "\"64K\"", "\"x\"" }[_random.Next(5)];

    private string Text(int length) =>
        $"\"{string.Concat(Enumerable.Range(0, length).Select(_ => Letter()))}\"";

    // A letter, or an escape of JSON.
    private string Letter() => _random.Next(12) == 0
        ? "\\u" + _random.Next(0x10000).ToString("x4", System.Globalization.CultureInfo.InvariantCulture)
        : ((char)_random.Next('a', 'z')).ToString();
}
