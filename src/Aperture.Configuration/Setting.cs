using Aperture.Configuration.Options;

namespace Aperture.Configuration;

/// <summary>One option that the command line or a configuration file states.</summary>
public sealed class Setting
{
    private readonly string? _text;
    private readonly OptionList? _list;

    /// <summary>As the command line has it.</summary>
    /// <param name="name">With its dashes.</param>
    /// <param name="text">Its value; empty for a flag.</param>
    public Setting(string name, string text) => (Name, _text) = (name, text);

    // As a configuration file has it: already taken apart, so that nothing in a value is taken for punctuation.
    internal Setting(string name, OptionList list) => (Name, _list) = (name, list);

    /// <summary>With its dashes.</summary>
    public string Name { get; }

    /// <summary>Its value as the command line spells it; empty for a flag.</summary>
    /// <exception cref="ApertureException">A configuration file states what no command line can say.</exception>
    public string Text => _text ?? _list!.Spell();

    /// <summary>As the command line would spell it.</summary>
    public override string ToString() => $"{Name} {Text}";

    // The value as items; the shorthand of one key may leave out the key, and only a device has a leading word.
    internal OptionList List(string? shorthand = null, bool hasHead = false)
    {
        if (_list is not null)
        {
            return _list;
        }

        OptionList list = OptionList.Parse(Name, shorthand is null ? _text! : $"{shorthand}={_text}");
        return hasHead || list.Head.Length == 0
            ? list
            : throw new ApertureException($"{Name}: '{list.Head}' in '{_text}' is not KEY=VALUE.");
    }

    internal bool IsText => _text is not null;
}
