using Aperture.Devices.Flash;
using Aperture.Configuration;
using Aperture.Memory;

namespace Aperture.Machine.Board;

/// <summary>
/// The flash bank that keeps UEFI's variables, directly below the bank with the firmware's code. While it answers with its content the guest reads that as
/// memory and only writes come here; during a command every access does.
/// </summary>
internal sealed class VariableBank : IDisposable
{
    // What a PC decodes as flash: 16 MiB up to 4 GiB, code included (ICH9 datasheet, 13.1.27).
    private const ulong FlashWindow = 16 << 20;

    private readonly RamBlock _content;
    private readonly FlashFile? _file;
    private readonly PflashDevice _device;
    private readonly Region _array;
    private readonly Region _commands;
    private AddressSpace? _memory;
    private GuestAddress _start;
    private bool _isArray = true;

    private VariableBank(RamBlock content, FlashFile? file)
    {
        (_content, _file) = (content, file);
        _device = new PflashDevice(content, file);
        _array = Region.ForRom("flash-variables", content, 0, content.Size, _device, mustBeMapped: true);
        _commands = Region.Trapped("flash-variables", content.Size, _device);
        _device.ModeChanged += _ => Follow();
    }

    /// <summary>Checks, without opening it for writing, that the file is there and fits below <paramref name="codeSize"/> bytes of code.</summary>
    /// <exception cref="ApertureException">It does not.</exception>
    public static void Check(FirmwareVariables variables, ulong codeSize)
    {
        FileInfo file = new(variables.Source);
        if (!file.Exists)
        {
            throw new ApertureException(
                $"--firmware vars={variables.Path} does not exist; template=FILE makes it as a copy of what the firmware came with (such as OVMF_VARS_4M.fd).");
        }

        ulong size = (ulong)file.Length;
        if (size == 0 || size % PflashDevice.BlockSize != 0 || codeSize >= FlashWindow || size > FlashWindow - codeSize)
        {
            throw new ApertureException(
                $"--firmware vars={file} has {ByteSize.Format(size)}; with {ByteSize.Format(codeSize)} of code it must be a multiple of {ByteSize.Format(PflashDevice.BlockSize)} and both at most {ByteSize.Format(FlashWindow)}.");
        }
    }

    /// <summary>Opens the file and reads it.</summary>
    /// <param name="variables">Where it is.</param>
    /// <param name="report">Told one sentence when the host refuses a change; any thread.</param>
    /// <exception cref="ApertureException">It cannot be used.</exception>
    public static VariableBank Open(FirmwareVariables variables, Action<string> report)
    {
        FlashFile? file = null;
        RamBlock? content = null;
        try
        {
            if (variables.Snapshot)
            {
                byte[] bytes = File.ReadAllBytes(variables.Path);
                content = RamBlock.Create("flash-variables", (ulong)bytes.Length);
                content.Write(0, bytes);
                return new VariableBank(content, null);
            }

            file = FlashFile.Open(variables.Path, variables.Template, report);
            content = RamBlock.Create("flash-variables", file.Length);
            file.Load(content);
            return new VariableBank(content, file);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or ApertureException)
        {
            file?.Dispose();
            content?.Dispose();
            throw e as ApertureException ?? new ApertureException($"--firmware vars={variables.Path} cannot be read: {e.Message}", innerException: e);
        }
    }

    /// <summary>Puts the bank to end at <paramref name="codeStart"/>; once, while the board is built.</summary>
    public void Place(AddressSpace memory, AddressChange change, GuestAddress codeStart)
    {
        (_memory, _start) = (memory, codeStart - _content.Size);
        change.Place(_array, _start, RegionPriority.Firmware);
    }

    /// <summary>Ends a command that a reset broke off.</summary>
    public void Reset() => _device.Reset();

    /// <summary>Brings the file up to date and closes it.</summary>
    public void Dispose()
    {
        _file?.Dispose();
        _content.Dispose();
    }

    private void Follow()
    {
        using AddressChange change = _memory!.Begin();
        bool isArray = _device.IsArrayMode;
        if (isArray == _isArray)
        {
            return;
        }

        _isArray = isArray;
        change.Remove(isArray ? _commands : _array);
        change.Place(isArray ? _array : _commands, _start, RegionPriority.Firmware);
        change.Commit();
    }
}
