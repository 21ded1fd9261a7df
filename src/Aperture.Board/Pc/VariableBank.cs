using Aperture.Devices.Flash;
using Aperture.Memory;

namespace Aperture.Board.Pc;

/// <summary>
/// The flash bank that keeps UEFI's variables, directly below the bank with the firmware's code: its content, the device that writes it, and its file.
/// </summary>
public sealed class VariableBank : IDisposable
{
    // What a PC decodes as flash: 16 MiB up to 4 GiB, code included (ICH9 datasheet, 13.1.27).
    private const ulong FlashWindow = 16 << 20;

    private readonly FlashFile? _file;

    private VariableBank(RamBlock content, FlashFile? file)
    {
        (Content, _file) = (content, file);
        Device = new PflashDevice(content, file);
    }

    /// <summary>The bytes.</summary>
    internal RamBlock Content { get; }

    /// <summary>What answers the guest's writes, and its reads during a command.</summary>
    internal PflashDevice Device { get; }

    /// <summary>Checks, without opening it for writing, that a bank fits below <paramref name="codeSize"/> bytes of code.</summary>
    /// <param name="path">The machine's own file.</param>
    /// <param name="source">The file that is there before the machine first runs: that one, or its template.</param>
    /// <param name="codeSize">Bytes of firmware code above the bank.</param>
    /// <exception cref="ApertureException">It does not fit, or is not there.</exception>
    public static void Check(string path, string source, ulong codeSize)
    {
        ulong size = LengthOf(path, source) ?? throw new ApertureException(
            $"--firmware vars={path} does not exist; template=FILE makes it as a copy of what the firmware came with (such as OVMF_VARS_4M.fd).");
        if (size == 0 || size % PflashDevice.BlockSize != 0 || codeSize >= FlashWindow || size > FlashWindow - codeSize)
        {
            throw new ApertureException(
                $"--firmware vars={source} has {ByteSize.Format(size)}; with {ByteSize.Format(codeSize)} of code it must be "
                + $"a multiple of {ByteSize.Format(PflashDevice.BlockSize)} and both at most {ByteSize.Format(FlashWindow)}.");
        }
    }

    /// <summary>Opens the file and reads it.</summary>
    /// <param name="path">The machine's own file.</param>
    /// <param name="template">What the file starts as when it is not there, or null to refuse a missing one.</param>
    /// <param name="snapshot">Changes last as long as the run, and the file is only read.</param>
    /// <param name="report">Told one sentence when the host refuses a change; any thread.</param>
    /// <exception cref="ApertureException">It cannot be used.</exception>
    public static VariableBank Open(string path, string? template, bool snapshot, Action<string> report)
    {
        FlashFile? file = null;
        RamBlock? content = null;
        try
        {
            if (snapshot)
            {
                byte[] bytes = File.ReadAllBytes(path);
                content = RamBlock.Create("flash-variables", (ulong)bytes.Length);
                content.Write(0, bytes);
                return new VariableBank(content, null);
            }

            file = FlashFile.Open(path, template, report);
            content = RamBlock.Create("flash-variables", file.Length);
            file.Load(content);
            return new VariableBank(content, file);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or ApertureException)
        {
            file?.Dispose();
            content?.Dispose();
            throw e as ApertureException ?? new ApertureException($"--firmware vars={path} cannot be read: {e.Message}", innerException: e);
        }
    }

    private static ulong? LengthOf(string path, string source)
    {
        try
        {
            return UserFile.Length(source);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new ApertureException($"--firmware vars={path} cannot be read: {e.Message}", innerException: e);
        }
    }

    /// <summary>Ends a command that a reset broke off.</summary>
    public void Reset() => Device.Reset();

    /// <summary>Brings the file up to date and closes it.</summary>
    public void Dispose()
    {
        _file?.Dispose();
        Content.Dispose();
    }
}
