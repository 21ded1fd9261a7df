namespace Aperture.Lab;

/// <summary>What a captured lab command left behind.</summary>
/// <param name="ExitCode">Its exit code; 128 + n if signal n ended it.</param>
/// <param name="Output">Its standard output, as UTF-8.</param>
/// <param name="Error">Its standard error, as UTF-8.</param>
public sealed record LabResult(int ExitCode, string Output, string Error);
