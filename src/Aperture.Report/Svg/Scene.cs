using System.Text;

namespace Aperture.Report.Svg;

/// <summary>A rectangle in the picture, in pixels from its upper left corner.</summary>
internal readonly record struct Box(double X, double Y, double Width, double Height)
{
    public double Right => X + Width;

    public double Bottom => Y + Height;

    /// <summary>True when the two share more than an edge.</summary>
    public bool Overlaps(Box other) => X < other.Right && other.X < Right && Y < other.Bottom && other.Y < Bottom;

    /// <summary>True when <paramref name="other"/> lies inside.</summary>
    public bool Contains(Box other) => other.X >= X && other.Y >= Y && other.Right <= Right && other.Bottom <= Bottom;
}

/// <summary>A filled rectangle. <paramref name="Style"/> is a class of the style sheet; <paramref name="Tip"/> shows on hovering.</summary>
internal sealed record Block(Box Box, string Style, string? Tip = null);

/// <summary>A line through points.</summary>
internal sealed record Stroke(IReadOnlyList<(double X, double Y)> Points, string Style);

/// <summary>One line of text, horizontal or, when <paramref name="Rotated"/>, read from below.</summary>
/// <param name="Box">What it covers: computed from the widest font it may be drawn with.</param>
/// <param name="Text">The content.</param>
/// <param name="Font">Size and family.</param>
/// <param name="Style">A class of the style sheet.</param>
/// <param name="Rotated">True for text that runs upwards.</param>
/// <param name="Right">True when the text ends at its box's right edge.</param>
internal sealed record Label(Box Box, string Text, Font Font, string Style, bool Rotated = false, bool Right = false);

/// <summary>A font of the picture.</summary>
/// <param name="Size">Pixels.</param>
/// <param name="Class">The class of the style sheet that sets it.</param>
internal sealed record Font(double Size, string Class)
{
    public static Font Title { get; } = new(17, "t");

    public static Font Head { get; } = new(13, "h");

    public static Font Row { get; } = new(12, "m");

    public static Font Small { get; } = new(11, "s");

    public static Font Side { get; } = new(10, "r");

    /// <summary>The height a line covers.</summary>
    public double Height => Math.Ceiling(Size * 1.25);

    /// <summary>How far the baseline lies below the upper edge.</summary>
    public double Ascent => Size;

    /// <summary>The most that <paramref name="text"/> takes: viewers choose the font, and the widest of the usual ones counts.</summary>
    public double Width(string text) => Math.Ceiling(text.Sum(c => char.IsAscii(c) ? 0.62 : 1.05) * Size);

    /// <summary><paramref name="text"/>, cut and ended with an ellipsis if it is wider than <paramref name="width"/>; empty when not even that fits.</summary>
    public string Fit(string text, double width)
    {
        if (Width(text) <= width)
        {
            return text;
        }

        int length = text.Length;
        while (length > 0 && Width(text[..length] + "...") > width)
        {
            length--;
        }

        if (length > 0 && char.IsHighSurrogate(text[length - 1]))
        {
            length--;
        }

        return length > 0 ? text[..length] + "..." : "";
    }
}

/// <summary>The picture before it is written: what is drawn, in order, and how large it is.</summary>
internal sealed class Scene
{
    public List<Block> Blocks { get; } = [];

    public List<Stroke> Strokes { get; } = [];

    public List<Label> Labels { get; } = [];

    public double Width { get; set; }

    public double Height { get; set; }

    /// <summary>Adds a line of text whose upper edge is at <paramref name="y"/>, cut to <paramref name="width"/>.</summary>
    public void Write(double x, double y, double width, string text, Font font, string style, bool right = false)
    {
        string fitting = font.Fit(Clean(text), width);
        if (fitting.Length == 0)
        {
            return;
        }

        double taken = font.Width(fitting);
        Labels.Add(new Label(new Box(right ? x + width - taken : x, y, taken, font.Height), fitting, font, style, Right: right));
    }

    /// <summary>Adds text that runs upwards in the middle of <paramref name="box"/>; false and nothing when it does not fit whole.</summary>
    public bool WriteUpwards(Box box, string text, Font font, string style)
    {
        string clean = Clean(text);
        double length = font.Width(clean);
        if (length + 6 > box.Height || font.Height > box.Width)
        {
            return false;
        }

        double x = box.X + (box.Width - font.Height) / 2;
        Labels.Add(new Label(new Box(x, box.Y + (box.Height - length) / 2, font.Height, length), clean, font, style, Rotated: true));
        return true;
    }

    /// <summary>The text without characters that XML 1.0 (2.2) cannot hold or that would break a line.</summary>
    public static string Clean(string text)
    {
        StringBuilder clean = new();
        foreach (Rune rune in text.EnumerateRunes())
        {
            bool bad = Rune.IsControl(rune) || rune.Value is 0xFFFE or 0xFFFF;
            clean.Append(bad ? "\uFFFD" : rune.ToString());
        }

        return clean.ToString();
    }
}
