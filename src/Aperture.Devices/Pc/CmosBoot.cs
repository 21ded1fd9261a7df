namespace Aperture.Devices.Pc;

/// <summary>A kind of boot device as the CMOS order names it.</summary>
public enum CmosBootDevice : byte
{
    /// <summary>No more devices.</summary>
    None = 0,

    /// <summary>A floppy disk.</summary>
    Floppy = 1,

    /// <summary>A hard disk.</summary>
    Disk = 2,

    /// <summary>A CD.</summary>
    Cdrom = 3,

    /// <summary>A boot entry of an option ROM, such as the network.</summary>
    OptionRom = 4,
}

/// <summary>What the CMOS bytes tell firmware about booting, in the places that SeaBIOS reads on QEMU's machines.</summary>
/// <param name="Processors">Processors present, 1 to 256.</param>
/// <param name="First">Tried first.</param>
/// <param name="Second">Tried second.</param>
/// <param name="Third">Tried third.</param>
public readonly record struct CmosBoot(
    int Processors,
    CmosBootDevice First = CmosBootDevice.Disk,
    CmosBootDevice Second = CmosBootDevice.Cdrom,
    CmosBootDevice Third = CmosBootDevice.OptionRom)
{
    // Equipment: a coprocessor (bit 1) and a pointing device (bit 2); no floppy, and a display with a ROM of its own (bits 5:4 clear).
    private const byte Equipment = 0x06;

    /// <summary>
    /// Stores 0x14 the equipment, 0x38 the third device in the high nibble with bit 0 set (boot a disk without the floppy's signature check), 0x3D the second
    /// and first device, 0x5F the number of further processors.
    /// </summary>
    internal void Store(Span<byte> ram)
    {
        ram[0x14] = Equipment;
        ram[0x38] = (byte)(((byte)Third << 4) | 1);
        ram[0x3D] = (byte)(((byte)Second << 4) | (byte)First);
        ram[0x5F] = (byte)Math.Clamp(Processors - 1, 0, byte.MaxValue);
    }
}
