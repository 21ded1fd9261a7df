using Aperture.Devices;
using Aperture.Memory;

namespace Aperture.Machine.Board;

/// <summary>
/// A bank of flash in the address space. While it is in array mode the guest reads its content directly and only writes come to the device; in any other
/// mode every access does.
/// </summary>
internal sealed class FlashBank : IResettable
{
    private readonly AddressSpace _memory;
    private readonly PflashDevice _device;
    private readonly GuestAddress _start;
    private readonly Region _mapped;
    private readonly Region _trapped;

    /// <summary>Makes the bank; <paramref name="content"/> stays the caller's.</summary>
    public FlashBank(AddressSpace memory, string name, RamBlock content, IFlashStore? store, GuestAddress start)
    {
        (_memory, _start) = (memory, start);
        _device = new PflashDevice(content, store);
        _mapped = Region.ForRom(name, content, 0, content.Size, _device);
        _trapped = Region.Trapped($"{name}-commands", content.Size, _device);
        _device.ModeChanged += _ => Follow();
    }

    /// <summary>Puts the bank in its place.</summary>
    public void Place(AddressChange change) => change.Place(_mapped, _start, RegionPriority.Firmware);

    /// <inheritdoc/>
    public void Reset() => _device.Reset();

    private void Follow()
    {
        using AddressChange change = _memory.Begin();
        bool mapped = _device.IsArrayMode;
        change.Remove(mapped ? _trapped : _mapped);
        Region shown = mapped ? _mapped : _trapped;
        change.Remove(shown);
        change.Place(shown, _start, RegionPriority.Firmware);
        change.Commit();
    }
}
