using System.Globalization;

namespace Aperture.Lab;

/// <summary>What a line of the control port says.</summary>
internal enum ControlKind
{
    /// <summary>Not a line of the protocol.</summary>
    Unknown,

    /// <summary>L1 is ready and the command starts; the value is unused.</summary>
    Up,

    /// <summary>The command ended; the value is its exit code.</summary>
    Exit,

    /// <summary>L1's init gave up; the text says why.</summary>
    Failed,
}

/// <summary>One line L1's init wrote to the control port: a word and its operand.</summary>
/// <param name="Kind">Which of the lines.</param>
/// <param name="Value">The operand when it is a number.</param>
/// <param name="Text">The operand as written.</param>
internal readonly record struct ControlLine(ControlKind Kind, int Value, string Text)
{
    /// <summary>Parses a line; anything unexpected gives <see cref="ControlKind.Unknown"/>.</summary>
    public static ControlLine Parse(string line)
    {
        int space = line.IndexOf(' ', StringComparison.Ordinal);
        string word = space < 0 ? line : line[..space];
        string text = space < 0 ? "" : line[(space + 1)..].Trim();
        return word switch
        {
            "up" => new ControlLine(ControlKind.Up, 0, text),
            "failed" => new ControlLine(ControlKind.Failed, 0, text),
            "exit" when int.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out int code) && code <= 255 =>
                new ControlLine(ControlKind.Exit, code, text),
            _ => new ControlLine(ControlKind.Unknown, 0, line),
        };
    }
}
