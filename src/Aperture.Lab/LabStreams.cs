namespace Aperture.Lab;

/// <summary>Where a lab command's standard streams go. The streams stay open; their owner closes them.</summary>
/// <param name="Input">Copied to the command's standard input, end of file included.</param>
/// <param name="Output">Receives its standard output, byte for byte and without delay.</param>
/// <param name="Error">Receives its standard error.</param>
public sealed record LabStreams(Stream Input, Stream Output, Stream Error)
{
    /// <summary>
    /// Called when the command begins; what it returns is disposed of when the command ends. A caller whose input is a terminal
    /// puts it into raw mode here, so that Ctrl-C still ends the lab while it starts.
    /// </summary>
    public Func<IDisposable?>? Started { get; init; }

    /// <summary>The process's own standard streams.</summary>
    public static LabStreams Console() => new(
        System.Console.OpenStandardInput(),
        System.Console.OpenStandardOutput(),
        System.Console.OpenStandardError());
}
