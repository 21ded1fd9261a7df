namespace Aperture.Lab;

/// <summary>L1 hung: worth another start, unlike a failure with a cause.</summary>
internal sealed class LabHangException(string message) : ApertureException(message, HostFailure);
