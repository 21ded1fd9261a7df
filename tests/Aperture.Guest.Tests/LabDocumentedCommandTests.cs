using System.Diagnostics;
using Aperture.Lab;

namespace Aperture.Guest.Tests;

/// <summary>Every command that README and docs show with a prompt works as it stands there.</summary>
public sealed class LabDocumentedCommandTests
{
    private const string Prompt = "$ ";
    private const string Fails = " # exits 2";
    private static readonly TimeSpan Limit = TimeSpan.FromMinutes(4);

    /// <summary>Page, command.</summary>
    public static TheoryData<string, string> Commands
    {
        get
        {
            TheoryData<string, string> data = [];
            string root = Checkout.Root();
            foreach (string page in Directory.EnumerateFiles(Path.Combine(root, "docs"), "*.md").Append(Path.Combine(root, "README.md")).Order())
            {
                foreach (string line in File.ReadLines(page).Where(l => l.StartsWith(Prompt, StringComparison.Ordinal)))
                {
                    data.Add(Path.GetFileName(page), line[Prompt.Length..]);
                }
            }

            return data;
        }
    }

    [Theory]
    [MemberData(nameof(Commands))]
    public async Task A_documented_command_does_what_its_page_says(string page, string command)
    {
        // The pages name the artefacts' usual folder.
        string typed = command.Replace(Fails, "", StringComparison.Ordinal)
            .Replace(".cache/lab/", LabArtifacts.Locate().Folder + "/", StringComparison.Ordinal);
        await using IAsyncDisposable turn = await SharedLab.LendAsync();
        using Process shell = new()
        {
            StartInfo = new ProcessStartInfo("bash", ["-c", typed])
            {
                WorkingDirectory = Checkout.Root(),
                RedirectStandardInput = true,
                RedirectStandardOutput = true,
                RedirectStandardError = true,
            },
        };
        shell.Start();
        shell.StandardInput.Close();
        Task<string> output = shell.StandardOutput.ReadToEndAsync(TestContext.Current.CancellationToken);
        Task<string> error = shell.StandardError.ReadToEndAsync(TestContext.Current.CancellationToken);
        using CancellationTokenSource limit = new(Limit);
        try
        {
            await shell.WaitForExitAsync(limit.Token);
        }
        catch (OperationCanceledException)
        {
            shell.Kill(entireProcessTree: true);
        }

        int expected = command.EndsWith(Fails, StringComparison.Ordinal) ? 2 : 0;
        Assert.True(shell.HasExited && shell.ExitCode == expected, $"{page}: {command}\n{await output}\n{await error}");
    }
}
