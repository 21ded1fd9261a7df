namespace Aperture.Devices.TestDevice;

/// <summary>
/// The register block at offset 0 of a test device's first trapped BAR; a BAR smaller than the block has the registers that fit. All
/// registers are 32 bits, little-endian, and take accesses of any size. What is not listed reads as zero. docs/test-device.md says the same to users.
/// </summary>
/// <remarks>
/// <code>
/// 0x00  RO   identification: the bytes 'A' 'P' 'T' 'R'
/// 0x04  RO   version, 1
/// 0x08  RO   instance: 32-bit FNV-1a hash of the id
/// 0x0C  RO   bits 7:0 index of this BAR, 15:8 MSI vectors, 31:16 MSI-X vectors
/// 0x10  RW   scratch, four registers to 0x1F
/// 0x20  WO   interrupt trigger: fires the vector written, by MSI-X if enabled, else MSI if enabled, else asserts INTx
/// 0x24  W1C  interrupt status: bit 0 INTx is asserted, bit 1 a trigger named a vector that does not exist
/// 0x28  RO   interrupts fired
/// 0x2C  RO   accesses to the trapped BARs of this device, low 32 bits
/// 0x30  RW   DMA source, 64 bits
/// 0x38  RW   DMA destination, 64 bits
/// 0x40  RW   DMA length in bytes
/// 0x44  RW   DMA command: 1 guest to buffer, 2 buffer to guest, 3 guest to guest; writing it runs it
/// 0x48  RO   DMA status: bit 0 done, bit 1 error, bit 2 busy; bits 15:8 the error (<see cref="TestDmaError"/>)
/// 0x400 RW   the DMA buffer: 4 KiB, or what fits before the MSI-X structures and the end of the BAR
/// </code>
/// </remarks>
public static class TestRegisters
{
    /// <summary>Offset of the identification register.</summary>
    public const uint Identification = 0x00;

    /// <summary>What the identification register reads as: 'APTR' in memory order.</summary>
    public const uint Magic = 0x5254_5041;

    /// <summary>Offset of the version register.</summary>
    public const uint Version = 0x04;

    /// <summary>What the version register reads as.</summary>
    public const uint CurrentVersion = 1;

    /// <summary>Offset of the instance register.</summary>
    public const uint Instance = 0x08;

    /// <summary>Offset of the capabilities register.</summary>
    public const uint Features = 0x0C;

    /// <summary>Offset of the first scratch register.</summary>
    public const uint Scratch = 0x10;

    /// <summary>Offset of the interrupt trigger.</summary>
    public const uint InterruptTrigger = 0x20;

    /// <summary>Offset of the interrupt status.</summary>
    public const uint InterruptStatus = 0x24;

    /// <summary>Offset of the interrupt counter.</summary>
    public const uint InterruptCount = 0x28;

    /// <summary>Offset of the access counter.</summary>
    public const uint AccessCount = 0x2C;

    /// <summary>Offset of the DMA source, low half.</summary>
    public const uint DmaSource = 0x30;

    /// <summary>Offset of the DMA destination, low half.</summary>
    public const uint DmaDestination = 0x38;

    /// <summary>Offset of the DMA length.</summary>
    public const uint DmaLength = 0x40;

    /// <summary>Offset of the DMA command.</summary>
    public const uint DmaCommand = 0x44;

    /// <summary>Offset of the DMA status.</summary>
    public const uint DmaStatus = 0x48;

    /// <summary>Offset of the DMA buffer.</summary>
    public const uint Buffer = 0x400;

    /// <summary>The instance register of the device called <paramref name="id"/> (32-bit FNV-1a over its characters, which are ASCII).</summary>
    public static uint InstanceOf(string id)
    {
        ArgumentNullException.ThrowIfNull(id);
        uint hash = 2166136261;
        foreach (char c in id)
        {
            hash = (hash ^ (byte)c) * 16777619;
        }

        return hash;
    }
}
