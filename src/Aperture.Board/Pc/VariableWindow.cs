using Aperture.Devices.Flash;
using Aperture.Memory;

namespace Aperture.Board.Pc;

/// <summary>
/// Shows a <see cref="VariableBank"/> in guest memory: while it answers with its content the guest reads that as memory and only writes reach the device;
/// during a command every access does.
/// </summary>
internal sealed class VariableWindow : IDisposable
{
    private readonly PflashDevice _device;
    private readonly AddressSpace _memory;
    private readonly GuestAddress _start;
    private readonly Region _array;
    private readonly Region _commands;
    private bool _isArray;

    /// <summary>The window of <paramref name="bank"/> that ends at <paramref name="codeStart"/>; not placed yet.</summary>
    public VariableWindow(VariableBank bank, AddressSpace memory, GuestAddress codeStart)
    {
        _device = bank.Device;
        _memory = memory;
        _start = codeStart - bank.Content.Size;
        _array = Region.ForRom("flash-variables", bank.Content, 0, bank.Content.Size, _device, mustBeMapped: true);
        _commands = Region.Trapped("flash-variables", bank.Content.Size, _device);
    }

    /// <summary>Puts the window where it belongs, and follows the device from then on; once.</summary>
    public void Place(AddressChange change)
    {
        _isArray = _device.IsArrayMode;
        change.Place(_isArray ? _array : _commands, _start, RegionPriority.Firmware);
        _device.ModeChanged += Follow;
    }

    /// <summary>Follows the device no more.</summary>
    public void Dispose() => _device.ModeChanged -= Follow;

    private void Follow(PflashDevice _)
    {
        using AddressChange change = _memory.Begin();
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
