namespace Aperture.Board.Pc;

/// <summary>
/// The registers of Q35's memory controller hub that say how much RAM there is and where it ends (Intel 3 Series datasheet, sections 5.1.25-5.1.37):
/// offsets in bytes, values after a reset, and the bits that the guest may write.
/// </summary>
internal static class HubMemoryRegisters
{
    /// <summary>
    /// The size of TSEG beyond the three that ESMRAMC can say, 16 bits, MiB; not of the chipset but of the virtual machines that its firmware is written for:
    /// after <see cref="ExtendedTsegQuery"/> was written it holds the size, and TSEG_SZ 3, reserved on the chipset, means it (OvmfPkg, Q35MchIch9.h).
    /// </summary>
    public const int ExtendedTseg = 0x50;

    /// <summary>Asks for the size.</summary>
    public const ushort ExtendedTsegQuery = 0xFFFF;

    /// <summary>REMAPBASE, 16 bits: address bits 35:26.</summary>
    public const int RemapBase = 0x98;

    /// <summary>REMAPLIMIT, 16 bits: address bits 35:26.</summary>
    public const int RemapLimit = 0x9A;

    /// <summary>SMRAM, 8 bits.</summary>
    public const int Smram = 0x9D;

    /// <summary>ESMRAMC, 8 bits.</summary>
    public const int ExtendedSmram = 0x9E;

    /// <summary>TOM, 16 bits: address bits 35:26.</summary>
    public const int Tom = 0xA0;

    /// <summary>TOUUD, 16 bits: address bits 35:20.</summary>
    public const int Touud = 0xA2;

    /// <summary>GBSM, 32 bits: the base of stolen memory for graphics.</summary>
    public const int GraphicsBase = 0xA4;

    /// <summary>BGSM, 32 bits: the base of the graphics translation table's memory.</summary>
    public const int GraphicsTableBase = 0xA8;

    /// <summary>TSEGMB, 32 bits: the base of TSEG.</summary>
    public const int TsegBase = 0xAC;

    /// <summary>TOLUD, 16 bits: address bits 31:20 in bits 15:4.</summary>
    public const int Tolud = 0xB0;

    /// <summary>The address bits of REMAPBASE, REMAPLIMIT and TOM.</summary>
    public const ushort Bits35To26 = 0x03FF;

    /// <summary>The address bits of TOUUD.</summary>
    public const ushort Bits35To20 = 0xFFFF;

    /// <summary>The address bits of TOLUD.</summary>
    public const ushort ToludBits = 0xFFF0;

    /// <summary>The address bits of the 32-bit bases: 31:20.</summary>
    public const uint BaseBits = 0xFFF0_0000;

    /// <summary>REMAPBASE after a reset: above REMAPLIMIT, so nothing is remapped.</summary>
    public const ushort RemapBaseReset = 0x03FF;

    /// <summary>ESMRAMC after a reset: SMRAM's cacheability bits, which read as ones.</summary>
    public const byte ExtendedSmramReset = 0x38;

    /// <summary>What the guest may write of ESMRAMC: H_SMRAME, TSEG_SZ and T_EN.</summary>
    public const byte ExtendedSmramWritable = 0x87;

    /// <summary>TOM after a reset: 64 MiB.</summary>
    public const ushort TomReset = 0x0001;

    /// <summary>TOLUD after a reset: 1 MiB.</summary>
    public const ushort ToludReset = 0x0010;
}
