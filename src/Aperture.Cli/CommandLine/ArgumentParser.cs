namespace Aperture.Cli.CommandLine;

/// <summary>
/// Splits a verb's arguments by its table of options: <c>--name value</c>, <c>--name=value</c>, flags. A parser of our own because a
/// guest's start pays for it: the general library costs more than the rest of start-up before the kernel is read.
/// </summary>
internal static class ArgumentParser
{
    /// <summary>Reads <paramref name="arguments"/>.</summary>
    /// <exception cref="ApertureException">
    /// Unknown option (with the nearest known one), missing value, value for a flag, option given twice, stray word.
    /// </exception>
    public static ParsedArguments Parse(Verb verb, ReadOnlySpan<string> arguments)
    {
        List<KeyValuePair<string, string>> values = [];
        for (int i = 0; i < arguments.Length; i++)
        {
            string argument = arguments[i];
            if (argument == "--" && verb.Command is not null)
            {
                return new ParsedArguments(values) { Command = arguments[(i + 1)..].ToArray() };
            }

            if (!argument.StartsWith("--", StringComparison.Ordinal))
            {
                if (verb.Operand is { } operand && (verb.OperandRepeats || !values.Exists(v => v.Key == operand)))
                {
                    values.Add(new(operand, argument));
                    continue;
                }

                throw new ApertureException($"'{argument}' is not an option of {verb.Name}; see aperture {verb.Name} --help.");
            }

            int equals = argument.IndexOf('=', StringComparison.Ordinal);
            string name = equals < 0 ? argument : argument[..equals];
            OptionSpec option = verb.Options.FirstOrDefault(o => o.Name == name || o.Alias == name) ?? throw Unknown(verb, name);
            if (!option.Repeatable && values.Exists(v => v.Key == option.Name))
            {
                throw new ApertureException(
                    name == option.Name ? $"{name} is given twice; give it once." : $"{name} is {option.Name}, which is given twice; give it once.");
            }

            values.Add(new(option.Name, Value(option, argument, equals, arguments, ref i)));
        }

        return new ParsedArguments(values);
    }

    private static string Value(OptionSpec option, string argument, int equals, ReadOnlySpan<string> arguments, ref int index)
    {
        if (option.Value is null)
        {
            return equals < 0 ? "" : throw new ApertureException($"{option.Name} takes no value.");
        }

        if (equals >= 0)
        {
            return argument[(equals + 1)..];
        }

        return ++index < arguments.Length
            ? arguments[index]
            : throw new ApertureException($"{option.Name} needs a value: {option.Name} {option.Value}.");
    }

    private static ApertureException Unknown(Verb verb, string name)
    {
        string? near = Suggestion.Nearest(name, verb.Options.Select(o => o.Name));
        string hint = near is null ? $"see aperture {verb.Name} --help" : $"did you mean {near}?";
        return new ApertureException($"{name} is not an option of {verb.Name}; {hint}");
    }
}
