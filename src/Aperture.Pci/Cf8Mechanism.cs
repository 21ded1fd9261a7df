namespace Aperture.Pci;

/// <summary>
/// Configuration mechanism #1 (PCI Local Bus 3.0, section 3.2.2.3.2): the address latch at port 0xCF8 and the data window at 0xCFC. Offsets count from
/// 0xCF8, eight ports. Only a 4-byte access to 0xCF8 is the latch's; other accesses to 0xCF8-0xCFB are unclaimed, for what else lives there.
/// </summary>
/// <param name="hierarchy">What the accesses reach.</param>
public sealed class Cf8Mechanism(PciHierarchy hierarchy) : IAccessHandler
{
    /// <summary>The first port.</summary>
    public const ushort FirstPort = 0xCF8;

    /// <summary>How many ports.</summary>
    public const int PortCount = 8;

    private const ulong Data = 4;
    private const uint Enable = 1u << 31;

    // Written and read by vCPUs without a lock: one word, and a guest that shares it among vCPUs has to serialise by itself, as on hardware.
    private volatile uint latch;

    /// <summary>The address register; for saving and for events.</summary>
    public uint Address
    {
        get => latch;
        set => latch = value;
    }

    /// <inheritdoc/>
    public AccessResult Read(ulong offset, int size, out ulong value)
    {
        if (TryDecode(offset, size, out Bdf bdf, out int register))
        {
            value = hierarchy.ConfigRead(bdf, register, size);
            return AccessResult.Ok;
        }

        if (offset == 0 && size == 4)
        {
            value = latch;
            return AccessResult.Ok;
        }

        value = AccessWidth.AllOnes(size);
        return AccessResult.Unclaimed;
    }

    /// <inheritdoc/>
    public AccessResult Write(ulong offset, int size, ulong value)
    {
        if (offset == 0 && size == 4)
        {
            latch = (uint)value;
            return AccessResult.Ok;
        }

        if (TryDecode(offset, size, out Bdf bdf, out int register))
        {
            hierarchy.ConfigWrite(bdf, register, size, (uint)value);
            return AccessResult.Ok;
        }

        return AccessResult.Unclaimed;
    }

    // An access that would leave the window at 0xD00 is nobody's as a whole; processors split it before it gets here.
    private bool TryDecode(ulong offset, int size, out Bdf bdf, out int register)
    {
        uint address = latch;
        bdf = new Bdf((ushort)(address >> 8));
        register = (int)(address & 0xFC) + (int)(offset & 3);
        return offset >= Data && offset + (ulong)size <= PortCount && size is 1 or 2 or 4 && (address & Enable) != 0;
    }
}
