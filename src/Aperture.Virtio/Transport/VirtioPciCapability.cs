using Aperture.Pci;
using Aperture.Pci.Capabilities;
using Aperture.Pci.Registers;

namespace Aperture.Virtio.Transport;

/// <summary>Which structure a virtio capability points at (VIRTIO 1.2, section 4.1.4).</summary>
public enum VirtioStructure : byte
{
    /// <summary>Common configuration.</summary>
    Common = 1,

    /// <summary>Notifications.</summary>
    Notify = 2,

    /// <summary>Interrupt status.</summary>
    InterruptStatus = 3,

    /// <summary>Device configuration.</summary>
    Device = 4,

    /// <summary>The window in configuration space.</summary>
    ConfigAccess = 5,
}

/// <summary>A vendor capability that says where in the BARs a virtio structure lies (VIRTIO 1.2, section 4.1.4).</summary>
internal sealed class VirtioPciCapability : StandardCapability
{
    /// <summary>Offset of the word that follows the common part: the notify multiplier.</summary>
    public const int Extra = 16;

    private const byte VendorCapability = 0x09;

    private readonly VirtioStructure _structure;
    private readonly int _bar;
    private readonly uint _offset;
    private readonly uint _length;
    private readonly uint _multiplier;

    /// <summary>
    /// Makes the capability; <paramref name="multiplier"/> is bytes between the doorbells of two queues and only for <see cref="VirtioStructure.Notify"/>.
    /// </summary>
    public VirtioPciCapability(VirtioStructure structure, int bar, uint offset, uint length, uint multiplier = 0)
        : base(VendorCapability, structure == VirtioStructure.Notify ? Extra + 4 : Extra)
    {
        (_structure, _bar, _offset, _length, _multiplier) = (structure, bar, offset, length, multiplier);
    }

    /// <inheritdoc/>
    protected override void Define()
    {
        Config.Define(Offset + 2, 2, (uint)Length | (uint)_structure << 8);
        Config.Define(Offset + 4, 4, (uint)_bar);
        Config.Define(Offset + 8, 4, _offset);
        Config.Define(Offset + 12, 4, _length);
        if (_structure == VirtioStructure.Notify)
        {
            Config.Define(Offset + Extra, 4, _multiplier);
        }
    }
}

/// <summary>
/// The window through which a driver that cannot reach the BAR accesses it from configuration space (VIRTIO 1.2, section 4.1.4.9): BAR, offset and
/// length are the driver's; the data word carries the access out.
/// </summary>
internal sealed class VirtioConfigAccess(Func<int, IAccessHandler?> bars) : StandardCapability(0x09, 20)
{
    private const int DataRegister = 16;

    /// <summary>True when a read of <paramref name="size"/> bytes at <paramref name="offset"/> of configuration space is one of the data word.</summary>
    public bool IsData(int offset, int size) => offset >= Offset + DataRegister && offset + size <= Offset + Length && size is 1 or 2 or 4;

    /// <summary>Carries out the read that the window names; bytes past its length read as zero, and so does a window that leads nowhere.</summary>
    public uint ReadData(int offset, int size)
    {
        uint data = 0;
        if (Target(out IAccessHandler? handler, out uint at, out int length) && handler!.Read(at, length, out ulong value) == AccessResult.Ok)
        {
            data = (uint)(value & AccessWidth.AllOnes(length));
        }

        return (uint)((data >> (8 * (offset - Offset - DataRegister))) & AccessWidth.AllOnes(size));
    }

    /// <inheritdoc/>
    protected override void Define()
    {
        Config.Define(Offset + 2, 2, (uint)Length | (uint)VirtioStructure.ConfigAccess << 8);
        Config.Define(Offset + 4, 4, 0, writable: 0xFF);
        Config.Define(Offset + 8, 4, 0, writable: uint.MaxValue);
        Config.Define(Offset + 12, 4, 0, writable: uint.MaxValue);
        Config.Define(Offset + DataRegister, 4, 0, writable: uint.MaxValue);

        // It may lead to the interrupt status, which a read clears.
        Config.DefineReadEffect(Offset + DataRegister, 4);
    }

    /// <inheritdoc/>
    protected override ConfigChange OnWritten(in RegisterWrite write)
    {
        if (write.Register == DataRegister && Target(out IAccessHandler? handler, out uint at, out int length))
        {
            handler!.Write(at, length, write.After & AccessWidth.AllOnes(length));
        }

        return ConfigChange.None;
    }

    // The driver must give an aligned offset and a length of 1, 2 or 4 (section 4.1.4.9.1); anything else leads nowhere.
    private bool Target(out IAccessHandler? handler, out uint at, out int length)
    {
        handler = bars((int)(Config.Get(Offset + 4) & 0xFF));
        at = Config.Get(Offset + 8);
        uint wanted = Config.Get(Offset + 12);
        length = (int)(wanted & 7);
        return handler is not null && wanted is 1 or 2 or 4 && (at & (wanted - 1)) == 0;
    }
}
