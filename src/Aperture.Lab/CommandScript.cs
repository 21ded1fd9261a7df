using System.Text;

namespace Aperture.Lab;

/// <summary>The two files L1's init reads: the command as a shell script, and the writable exports.</summary>
internal static class CommandScript
{
    private const string DefaultPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

    /// <summary>The script that changes to the directory, sets the environment and becomes the program.</summary>
    public static string Build(LabRun run)
    {
        StringBuilder script = new();
        script.Append("cd ").Append(Quote(run.WorkingDirectory)).Append(" || exit 125\n");
        Dictionary<string, string> environment = new()
        {
            ["PATH"] = DefaultPath,
            ["HOME"] = "/root",
            [LabRun.InsideVariable] = "1",
            // The diagnostics port costs start-up time and nothing in the lab attaches to it.
            ["DOTNET_EnableDiagnostics"] = "0",
        };
        foreach ((string name, string value) in run.Environment)
        {
            environment[name] = value;
        }

        foreach ((string name, string value) in environment.OrderBy(pair => pair.Key, StringComparer.Ordinal))
        {
            script.Append("export ").Append(name).Append('=').Append(Quote(value)).Append('\n');
        }

        if (run.VfioFunctions.Count > 0)
        {
            script.Append("bind-vfio ").AppendJoin(' ', run.VfioFunctions.Select(Quote)).Append(" >&2 || exit 3\n");
        }

        script.Append("exec ").Append(Quote(run.Program));
        foreach (string argument in run.Arguments)
        {
            script.Append(' ').Append(Quote(argument));
        }

        return script.Append('\n').ToString();
    }

    /// <summary>One line per export: mount tag, tab, path.</summary>
    public static string BuildExports(LabRun run)
    {
        StringBuilder lines = new();
        IReadOnlyList<string> directories = QemuCommandLine.Outermost(run.WritableDirectories);
        for (int i = 0; i < directories.Count; i++)
        {
            lines.Append(QemuCommandLine.ExportTag(i)).Append('\t').Append(directories[i]).Append('\n');
        }

        return lines.ToString();
    }

    /// <summary>A word in POSIX shell quoting (XCU 2.2.2): everything between single quotes is literal.</summary>
    public static string Quote(string word) => "'" + word.Replace("'", "'\\''", StringComparison.Ordinal) + "'";
}
