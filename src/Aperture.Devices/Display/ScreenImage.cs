using Aperture.Linux;

namespace Aperture.Devices.Display;

/// <summary>A picture of a screen.</summary>
/// <param name="Width">Pixels a line.</param>
/// <param name="Height">Lines.</param>
/// <param name="Pixels">Red, green, blue, alpha for each pixel, line by line from the top.</param>
public sealed record ScreenImage(int Width, int Height, byte[] Pixels)
{
    /// <summary>Bytes of a pixel.</summary>
    public const int PixelSize = 4;

    /// <summary>Writes the picture as a PNG file, replacing what was there.</summary>
    /// <exception cref="ApertureException">The file cannot be written.</exception>
    /// <exception cref="OperationCanceledException">The wait for a pipe's reader was cancelled.</exception>
    public void SavePng(string path, OutputFiles files)
    {
        try
        {
            using FileStream file = files.Create(path, FileShare.None);
            PngWriter.Write(file, this);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new ApertureException($"the screenshot {path} cannot be written: {e.Message}", ApertureException.HostFailure, e);
        }
    }
}
