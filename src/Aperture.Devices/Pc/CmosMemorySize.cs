namespace Aperture.Devices.Pc;

/// <summary>How much RAM the CMOS memory-size bytes report.</summary>
/// <param name="Below4G">Bytes of RAM from address 0 to the low hole.</param>
/// <param name="Above4G">Bytes of RAM from 4 GiB up.</param>
public readonly record struct CmosMemorySize(ulong Below4G, ulong Above4G)
{
    /// <summary>
    /// Stores the sizes where PC firmware looks for them: 0x15 base memory in KiB, 0x17 and 0x30 memory above 1 MiB in KiB, 0x34 memory above
    /// 16 MiB in units of 64 KiB, 0x5B memory above 4 GiB in units of 64 KiB (3 bytes). Each stops at the most that its bytes can say.
    /// </summary>
    internal void Store(Span<byte> ram)
    {
        ulong aboveOneMeg = Below4G > 1UL << 20 ? (Below4G >> 10) - 1024 : 0;
        ulong aboveSixteen = Below4G > 16UL << 20 ? (Below4G - (16UL << 20)) >> 16 : 0;
        Put(ram, 0x15, 2, Math.Min(Below4G >> 10, 640));
        Put(ram, 0x17, 2, aboveOneMeg);
        Put(ram, 0x30, 2, aboveOneMeg);
        Put(ram, 0x34, 2, aboveSixteen);
        Put(ram, 0x5B, 3, Above4G >> 16);
    }

    private static void Put(Span<byte> ram, int index, int bytes, ulong value)
    {
        value = Math.Min(value, AccessWidth.AllOnes(bytes));
        for (int i = 0; i < bytes; i++)
        {
            ram[index + i] = (byte)(value >> (8 * i));
        }
    }
}
