using System.Diagnostics;
using System.Globalization;
using System.Text;

namespace Aperture.Linux.Tests;

/// <summary>Asks the C compiler and the kernel's headers what expressions are worth: writes a program, compiles it, runs it.</summary>
internal static class CProbe
{
    public static bool HasCompiler => FindCompiler() is not null && File.Exists("/usr/include/linux/kvm.h");

    private const string CrossCompiler = "/usr/bin/aarch64-linux-gnu-gcc";

    private const string Headers = """
            #define _GNU_SOURCE
            #include <stddef.h>
            #include <stdio.h>
            #include <errno.h>
            #include <fcntl.h>
            #include <poll.h>
            #include <signal.h>
            #include <termios.h>
            #include <time.h>
            #include <sys/eventfd.h>
            #include <sys/ioctl.h>
            #include <sys/mman.h>
            #include <sys/socket.h>
            #include <sys/stat.h>
            #include <sys/uio.h>
            #include <sys/un.h>
            #include <linux/memfd.h>
            #include <linux/kvm.h>
            #include <linux/vfio.h>
            #include <sys/resource.h>
            #define MEMBER_SIZE(type, member) sizeof(((type *)0)->member)

            """;

    /// <summary>True when the same can be asked of arm64's headers.</summary>
    public static bool HasCrossCompiler => File.Exists(CrossCompiler) && File.Exists("/usr/aarch64-linux-gnu/include/linux/kvm.h");

    /// <summary>The expressions that are worth something else on arm64 than said here, with what its compiler says of it; nothing is run.</summary>
    public static IReadOnlyList<string> DifferOnArm64(IEnumerable<(string Expression, long Value)> expected)
    {
        StringBuilder program = new(Headers);
        foreach ((string expression, long value) in expected)
        {
            program.Append(CultureInfo.InvariantCulture, $"_Static_assert((unsigned long long)({expression}) == {(ulong)value}ULL, \"{expression}\");\n");
        }

        using TemporaryFolder folder = new();
        string source = Path.Combine(folder.Path, "probe.c");
        File.WriteAllText(source, program.ToString());
        ProcessStartInfo start = new(CrossCompiler, ["-fsyntax-only", "-Wall", "-Werror", source]) { RedirectStandardError = true };
        using Process process = Process.Start(start)!;
        string complaints = process.StandardError.ReadToEnd();
        Assert.True(process.WaitForExit(60_000), $"{CrossCompiler} did not end");
        Assert.True(process.ExitCode == 0 == (complaints.Length == 0), complaints);
        return [.. complaints.Split('\n').Where(line => line.Contains("error:", StringComparison.Ordinal))];
    }

    public static IReadOnlyDictionary<string, ulong> Evaluate(IEnumerable<string> expressions, params string[] headers)
    {
        string[] all = [.. expressions.Distinct()];
        StringBuilder program = new(Headers);
        foreach (string header in headers)
        {
            program.Append(CultureInfo.InvariantCulture, $"#include <{header}>\n");
        }

        program.Append("int main(void) {\n");
        foreach (string expression in all)
        {
            program.Append(CultureInfo.InvariantCulture, $"    printf(\"%llu\\n\", (unsigned long long)({expression}));\n");
        }

        program.Append("    return 0;\n}\n");
        using TemporaryFolder folder = new();
        string source = Path.Combine(folder.Path, "probe.c");
        string binary = Path.Combine(folder.Path, "probe");
        File.WriteAllText(source, program.ToString());
        Run(FindCompiler()!, "-Wall", "-Werror", "-o", binary, source);
        string[] lines = Run(binary).Split('\n', StringSplitOptions.RemoveEmptyEntries);
        Assert.Equal(all.Length, lines.Length);
        return all.Zip(lines).ToDictionary(pair => pair.First, pair => ulong.Parse(pair.Second, CultureInfo.InvariantCulture));
    }

    private static string? FindCompiler() =>
        new[] { "/usr/bin/gcc", "/usr/bin/cc" }.FirstOrDefault(File.Exists);

    private static string Run(string program, params string[] arguments)
    {
        using Process process = Process.Start(new ProcessStartInfo(program, arguments) { RedirectStandardOutput = true, RedirectStandardError = true })!;
        Task<string> errors = process.StandardError.ReadToEndAsync();
        string output = process.StandardOutput.ReadToEnd();
        Assert.True(process.WaitForExit(60_000), $"{program} did not end");
        Assert.True(process.ExitCode == 0, $"{program}: {errors.Result}");
        return output;
    }
}
