namespace Aperture;

/// <summary>
/// A configuration or host failure, in one sentence that says what is wrong and what to do. Never thrown for guest input.
/// The command line prints <see cref="Exception.Message"/> and exits with <see cref="ExitCode"/>.
/// </summary>
public class ApertureException : Exception
{
    /// <summary>Exit code of a usage or configuration error: nothing was started.</summary>
    public const int ConfigurationError = 2;

    /// <summary>Exit code of a host failure (KVM, files, memory).</summary>
    public const int HostFailure = 3;

    /// <summary>Makes a failure with its sentence and exit code.</summary>
    public ApertureException(string message, int exitCode = ConfigurationError, Exception? innerException = null)
        : base(message, innerException) => ExitCode = exitCode;

    /// <summary>The process exit code that goes with the failure.</summary>
    public int ExitCode { get; }
}
