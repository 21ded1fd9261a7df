namespace Aperture.Vfio;

/// <summary>Where the host's file systems are. Tests put trees of their own there; sentences always name the real places.</summary>
internal sealed record HostPlaces(string Sys, string Dev)
{
    internal static HostPlaces Real { get; } = new("/sys", "/dev");
}
