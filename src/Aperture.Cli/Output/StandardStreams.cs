using System.Text;
using Aperture.Linux;

namespace Aperture.Cli.Output;

/// <summary>
/// Standard output and standard error as the whole program writes to them: a full, closed or broken one never throws where something is printed. What did not
/// get out on standard output is found at the end, and makes the exit code.
/// </summary>
internal sealed class StandardStreams
{
    private StandardStreams(ForgivingStream output, ForgivingStream error) => (Output, Error) = (output, error);

    /// <summary>Standard output, for who writes bytes.</summary>
    public ForgivingStream Output { get; }

    /// <summary>Standard error, for who writes bytes on a thread of its own.</summary>
    public ForgivingStream Error { get; }

    /// <summary>Puts the streams below <see cref="Console.Out"/> and <see cref="Console.Error"/>. Before anything is printed or opened.</summary>
    public static StandardStreams Take()
    {
        bool hasOutput = StandardDescriptors.IsInherited(1);
        bool hasError = StandardDescriptors.IsInherited(2);
        StandardDescriptors.FillClosed();
        StandardStreams streams = new(
            new ForgivingStream(hasOutput ? Console.OpenStandardOutput : null), new ForgivingStream(hasError ? Console.OpenStandardError : null));
        Encoding encoding = Console.OutputEncoding is UTF8Encoding ? new UTF8Encoding(encoderShouldEmitUTF8Identifier: false) : Console.OutputEncoding;
        Console.SetOut(new StreamWriter(streams.Output, encoding) { AutoFlush = true });
        Console.SetError(new StreamWriter(streams.Error, encoding) { AutoFlush = true });
        return streams;
    }

    /// <summary>Prints a page that somebody asked to read. Where nobody can, because standard output is closed, nothing is wrong.</summary>
    /// <returns>The exit code.</returns>
    public int ShowPage(string text)
    {
        if (Output.IsOpen)
        {
            Console.Out.Write(text);
        }

        return 0;
    }

    /// <summary>
    /// The exit code of a verb that ended with <paramref name="code"/>: that of a host failure when not all that it printed got out, and standard error says
    /// why.
    /// </summary>
    public int Conclude(int code)
    {
        if (Output.Failure is not { } failure)
        {
            return code;
        }

        Console.Error.WriteLine($"aperture: standard output cannot be written: {failure}");
        return ApertureException.HostFailure;
    }
}
