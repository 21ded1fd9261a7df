using Aperture.Configuration;
using Aperture.Configuration.Kinds;
using Aperture.Devices.Display;
using Aperture.Linux;
using Aperture.Watch;

namespace Aperture.Machine.Console;

/// <summary>What the display adapter shows, for the host: its text as it changes, its picture at the end.</summary>
internal sealed class ScreenOutput : IDisposable
{
    private static readonly TimeSpan Interval = TimeSpan.FromMilliseconds(50);
    private readonly OutputFiles _files;
    private readonly string? _picture;
    private readonly StandardVga? _display;
    private readonly TextLog? _text;
    private readonly Action _catchUp;

    /// <summary>
    /// Starts writing <paramref name="display"/>'s text to where <paramref name="config"/> says, if it does. <paramref name="catchUp"/> brings the display to
    /// what the guest has written; called before every look at it, from any thread.
    /// </summary>
    /// <exception cref="ApertureException">A file cannot be written.</exception>
    /// <exception cref="OperationCanceledException">The wait for a pipe's reader was cancelled.</exception>
    public ScreenOutput(MachineConfig config, StandardVga? display, OutputFiles files, TimeProvider clock, Action catchUp)
    {
        _files = files;
        _picture = config.ScreenshotPath;
        _display = display;
        _catchUp = catchUp;
        if (display is not null && config.Devices.OfType<VgaSpec>().FirstOrDefault()?.TextFile is { } path)
        {
            _text = new TextLog(Read, new QueueWriter(new OutputQueue(Open(path, files))), clock, Interval);
        }
    }

    /// <summary>Writes the picture.</summary>
    /// <exception cref="ApertureException">The file cannot be written.</exception>
    /// <exception cref="OperationCanceledException">The wait for a pipe's reader was cancelled.</exception>
    public void Capture()
    {
        _text?.Look();
        _catchUp();
        if (_picture is { } path)
        {
            _display?.Capture().SavePng(path, _files);
        }
    }

    /// <summary>Ends the text.</summary>
    public void Dispose() => _text?.Dispose();

    private TextScreen? Read()
    {
        _catchUp();
        return _display!.ReadText();
    }

    private static FileStream Open(string path, OutputFiles files)
    {
        try
        {
            return files.Create(path, FileShare.ReadWrite);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new ApertureException($"{path} cannot be written: {e.Message}", innerException: e);
        }
    }
}
