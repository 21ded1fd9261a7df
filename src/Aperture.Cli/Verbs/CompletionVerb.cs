using Aperture.Cli.CommandLine;

namespace Aperture.Cli.Verbs;

/// <summary>
/// <c>aperture completion</c>: prints what makes a shell complete aperture's command lines. The shell asks this program, so that both know the same.
/// </summary>
internal static class CompletionVerb
{
    private const string Line = "--line";

    // Bash takes "=" and ":" for ends of words and replaces only what follows the last of them.
    private const string Bash =
        """
        _aperture() {
            local line="${COMP_LINE:0:COMP_POINT}" word broken
            word="${line##* }"
            mapfile -t COMPREPLY < <(aperture completion --line "$line" 2>/dev/null)
            if [[ "${COMPREPLY[0]-}" == $'\tfiles' ]]; then
                word="${word##*[=,]}"
                mapfile -t COMPREPLY < <(compgen -f -- "$word")
                compopt -o filenames 2>/dev/null
                return
            fi
            broken="${word%"${word##*[=:]}"}"
            COMPREPLY=("${COMPREPLY[@]#"$broken"}")
        }
        complete -o nospace -F _aperture aperture ./aperture

        """;

    private const string Zsh =
        """
        #compdef aperture
        _aperture() {
            local -a words_
            words_=("${(@f)$(aperture completion --line "${LBUFFER}" 2>/dev/null)}")
            if [[ "${words_[1]}" == $'\tfiles' ]]; then
                compset -P '*[=,]'
                _files
                return
            fi
            compadd -Q -S '' -- ${words_}
        }
        if [ "${funcstack[1]}" = "_aperture" ]; then _aperture "$@"; else compdef _aperture aperture; fi

        """;

    /// <summary>The verb, which completes <paramref name="verbs"/>.</summary>
    public static Verb Of(Func<IReadOnlyList<Verb>> verbs) => new(
        "completion",
        "print the completion of a shell: bash or zsh",
        [new(Line, "TEXT", "what the shells ask: the candidates for the end of this command line")],
        "source <(aperture completion bash)",
        arguments => Run(arguments, verbs()))
    {
        Operand = "SHELL",
    };

    private static int Run(ParsedArguments arguments, IReadOnlyList<Verb> verbs)
    {
        if (arguments.Find(Line) is { } line)
        {
            foreach (string candidate in new Completer(verbs).Complete(line))
            {
                Console.Out.WriteLine(candidate);
            }

            return 0;
        }

        Console.Out.Write(arguments.Find("SHELL") switch
        {
            "bash" => Bash,
            "zsh" => Zsh,
            null => throw new ApertureException("completion needs a shell: aperture completion bash, or zsh."),
            string other => throw new ApertureException($"'{other}' is not a shell that can be completed for; write bash or zsh."),
        });
        return 0;
    }
}
