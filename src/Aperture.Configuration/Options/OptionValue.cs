using System.Globalization;

namespace Aperture.Configuration.Options;

/// <summary>
/// One value, with what messages call it. Its members read the forms that several kinds share, so that each is refused in the same words everywhere.
/// </summary>
/// <param name="prefix">How a message begins, its last blank included: <c>--device disk: </c>.</param>
/// <param name="item">The item.</param>
public readonly struct OptionValue(string prefix, OptionItem item)
{
    private const int LongestName = 64;

    /// <summary>The key.</summary>
    public string Key => item.Key;

    /// <summary>The value as text.</summary>
    public string Text => item.Text;

    /// <summary>The value's parts, where it is a list of BARs.</summary>
    public IReadOnlyList<string> Parts => item.Parts ?? item.Text.Split(',');

    /// <summary>A refusal: the message goes on after <c>key=value</c> with <paramref name="rest"/>, which has no full stop.</summary>
    public ApertureException Fault(string rest) => new($"{prefix}{Key}={Text}{rest}.");

    /// <summary>A refusal in other words.</summary>
    public ApertureException FaultOf(string sentence) => new($"{prefix}{sentence}.");

    /// <summary>An id.</summary>
    /// <exception cref="ApertureException">It is none.</exception>
    public string Name() => IsName(Text) ? Text : throw Fault($": an id has 1 to {LongestName} letters, digits, dashes, dots and underscores");

    /// <summary>The id of a port.</summary>
    /// <exception cref="ApertureException">It cannot be one.</exception>
    public string PortName() => IsName(Text) ? Text : throw Fault(": the value must be the id of a root port or of a switch's downstream port");

    /// <summary>A file's name.</summary>
    /// <exception cref="ApertureException">It is empty.</exception>
    public string FileName() => Text.Length > 0 ? Text : throw Fault(": the path is empty");

    /// <summary>Device and function on a bus.</summary>
    /// <exception cref="ApertureException">It is none.</exception>
    public byte Place() => Bdf.TryParseDeviceFunction(Text, out byte place)
        ? place
        : throw Fault(" is not a place on a bus; write DEVICE.FUNCTION in hexadecimal, 00.0 to 1f.7, such as 04.0");

    /// <summary>on or off.</summary>
    /// <exception cref="ApertureException">It is neither.</exception>
    public bool OnOff() => Text switch
    {
        "on" => true,
        "off" => false,
        _ => throw Fault(": write on or off"),
    };

    /// <summary>A decimal number.</summary>
    /// <exception cref="ApertureException">It is none, or not from <paramref name="low"/> to <paramref name="high"/>.</exception>
    public int Number(int low, int high) =>
        int.TryParse(Text, NumberStyles.None, CultureInfo.InvariantCulture, out int number) && number >= low && number <= high
            ? number
            : throw FaultOf($"{Key} {Text} is out of range: write a number from {low} to {high}");

    private static bool IsName(string text) => text.Length is > 0 and <= LongestName && text.All(c => char.IsAsciiLetterOrDigit(c) || c is '-' or '_' or '.');
}
