using Aperture.Devices;
using Aperture.Memory;

namespace Aperture.Machine.Board;

/// <summary>The flash bank with a firmware's variables: a file of the machine's own and its content.</summary>
internal sealed class FirmwareVariables : IDisposable
{
    private FirmwareVariables(FlashFile file, RamBlock content) => (File, Content) = (file, content);

    /// <summary>Where changes go.</summary>
    public FlashFile File { get; }

    /// <summary>What the guest sees.</summary>
    public RamBlock Content { get; }

    /// <summary>Opens <paramref name="path"/>, which becomes a copy of <paramref name="template"/> first when it does not exist.</summary>
    /// <param name="path">The machine's own file.</param>
    /// <param name="template">What a new file starts as, or null.</param>
    /// <param name="report">Told one sentence when the host refuses a change.</param>
    /// <exception cref="ApertureException">The file is missing, in use, not whole pages, or cannot be read.</exception>
    public static FirmwareVariables Open(string path, string? template, Action<string> report)
    {
        FlashFile file = FlashFile.Open(path, template, report);
        RamBlock? content = null;
        try
        {
            if (file.Length % PflashDevice.BlockSize != 0 || file.Length > 8 << 20)
            {
                throw new ApertureException($"--firmware-vars {path} has {file.Length} bytes; a bank of variables has whole 4 KiB blocks, at most 8 MiB.");
            }

            content = RamBlock.Create("firmware-vars", file.Length);
            file.Load(content);
            return new FirmwareVariables(file, content);
        }
        catch
        {
            file.Dispose();
            content?.Dispose();
            throw;
        }
    }

    /// <summary>Writes out and closes the file.</summary>
    public void Dispose()
    {
        File.Dispose();
        Content.Dispose();
    }
}
