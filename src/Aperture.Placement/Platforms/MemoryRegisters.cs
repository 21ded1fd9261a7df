namespace Aperture.Placement.Platforms;

/// <summary>
/// The RAM split in the terms of a Q35 memory controller (Intel 3 Series datasheet, device 0: TOLUD, TOUUD, TOM, REMAPBASE, REMAPLIMIT), as addresses.
/// RAM that the hole below 4 GiB hides reappears in the remap window.
/// </summary>
/// <param name="Tom">Top of memory: RAM in all, rounded up to 64 MiB.</param>
/// <param name="Tolud">Top of low usable DRAM: the first address of the low hole, or the end of RAM when RAM does not reach it; 1 MiB units.</param>
/// <param name="Touud">Top of upper usable DRAM: past the last RAM, at least 4 GiB when there is RAM there, else <paramref name="Tolud"/>; 1 MiB units, rounded
/// up.</param>
/// <param name="RemapBase">The first address of the remap window, 64 MiB units; above <paramref name="RemapLimit"/> when the window is closed.</param>
/// <param name="RemapLimit">The last address of the remap window; its low 26 bits are ones.</param>
public sealed record MemoryRegisters(GuestAddress Tom, GuestAddress Tolud, GuestAddress Touud, GuestAddress RemapBase, GuestAddress RemapLimit)
{
    private const int RemapShift = 26;
    private const int MebibyteShift = 20;

    /// <summary>True when the remap window is open.</summary>
    public bool RemapEnabled => RemapBase <= RemapLimit;

    /// <summary>TOM as the register holds it: 64 MiB units, 10 bits.</summary>
    public ushort TomRegister => (ushort)(Tom.Value >> RemapShift & 0x3FF);

    /// <summary>TOUUD as the register holds it: address 35:20.</summary>
    public ushort TouudRegister => (ushort)(Touud.Value >> MebibyteShift);

    /// <summary>TOLUD as the register holds it: address 31:20 in bits 15:4.</summary>
    public ushort ToludRegister => (ushort)(Tolud.Value >> MebibyteShift << 4);

    /// <summary>REMAPBASE as the register holds it: address 35:26.</summary>
    public ushort RemapBaseRegister => (ushort)(RemapBase.Value >> RemapShift & 0x3FF);

    /// <summary>REMAPLIMIT as the register holds it: address 35:26.</summary>
    public ushort RemapLimitRegister => (ushort)(RemapLimit.Value >> RemapShift & 0x3FF);

    /// <summary>
    /// True when every value fits the registers' 36 address bits; a larger guest gets truncated registers, which a guest of that size does not read.
    /// </summary>
    public bool FitsRegisters => Touud.Value >> 36 == 0 && Tom.Value >> 36 == 0;
}
