namespace Aperture.Kvm.Tests.Arm64;

/// <summary>The few instructions that the tests' guests are made of (Arm ARM C6.2); registers by number, 64 bits where it does not say otherwise.</summary>
internal static class Instructions
{
    /// <summary>b . : stays here.</summary>
    public const uint Stay = 0x1400_0000;

    /// <summary>hvc #0: PSCI, its function in W0 (SMCCC, Arm DEN 0028).</summary>
    public const uint Hypercall = 0xD400_0002;

    /// <summary>A constant, whole.</summary>
    public static uint[] Load(int register, ulong value) =>
    [
        .. Enumerable.Range(0, 4).Select(part =>
            (part == 0 ? 0xD280_0000u : 0xF280_0000u) | (uint)part << 21 | (uint)(value >> (16 * part) & 0xFFFF) << 5 | (uint)register),
    ];

    /// <summary>A store of 1, 2, 4 or 8 bytes of <paramref name="value"/> to where <paramref name="address"/> points.</summary>
    public static uint Store(int size, int value, int address) => Size(size) | 0x3900_0000 | (uint)address << 5 | (uint)value;

    /// <summary>A load of 1, 2, 4 or 8 bytes, the rest of the register 0.</summary>
    public static uint Fetch(int size, int value, int address) => Size(size) | 0x3940_0000 | (uint)address << 5 | (uint)value;

    /// <summary>ldp value, other, [address].</summary>
    public static uint FetchPair(int value, int other, int address) => 0xA940_0000 | (uint)other << 10 | (uint)address << 5 | (uint)value;

    /// <summary>tbz value, #bit, to the instruction <paramref name="distance"/> from here; negative goes back.</summary>
    public static uint IfClear(int value, int bit, int distance) =>
        0x3600_0000 | (uint)(bit >> 5) << 31 | (uint)(bit & 31) << 19 | (uint)(distance & 0x3FFF) << 5 | (uint)value;

    /// <summary>mrs register, MPIDR_EL1.</summary>
    public static uint ReadAffinity(int register) => 0xD538_00A0 | (uint)register;

    private static uint Size(int size) => (uint)int.Log2(size) << 30;
}
