using System.Text;

namespace Aperture.Emission;

/// <summary>A configuration file as it is written, with the list of what it cannot say.</summary>
/// <param name="comment">Turns one line of text, free of control characters, into a comment of the format.</param>
internal sealed class ConfigText(Func<string, string> comment)
{
    private readonly StringBuilder _text = new();
    private readonly List<string> _gaps = [];

    /// <summary>A file whose comments start with <c>#</c>.</summary>
    public static ConfigText Hash() => new(text => $"# {text}");

    /// <summary>A file with XML comments, which may hold no two hyphens in a row.</summary>
    public static ConfigText Xml() => new(text =>
    {
        while (text.Contains("--", StringComparison.Ordinal))
        {
            text = text.Replace("--", "- -", StringComparison.Ordinal);
        }

        return $"<!-- {text} -->";
    });

    public void Line(string line = "") => _text.Append(line).Append('\n');

    public void Comment(string text, string indent = "") => Line(indent + comment(Words.Plain(text)));

    /// <summary>Notes one thing that the format cannot say, for <see cref="Gaps"/>.</summary>
    public void Gap(string sentence) => _gaps.Add(sentence);

    /// <summary>Writes what was noted.</summary>
    public void Gaps(string monitor, string indent = "")
    {
        Comment(_gaps.Count == 0 ? $"{monitor} can be told all of this plan." : $"What {monitor} cannot be told:", indent);
        foreach (string gap in _gaps)
        {
            Comment($"- {gap}", indent);
        }
    }

    public override string ToString() => _text.ToString();
}
