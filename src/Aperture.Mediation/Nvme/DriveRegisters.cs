using System.Buffers.Binary;
using Aperture.Assignment;
using Aperture.Pci.Registers;

namespace Aperture.Mediation.Nvme;

/// <summary>The registers of the drive itself. What does not answer reads as all-ones.</summary>
internal sealed class DriveRegisters(IVfioDevice device)
{
    private const int CommandRegister = 4;
    private const PciCommand Working = PciCommand.MemorySpace | PciCommand.BusMaster | PciCommand.InterruptDisable;

    /// <summary>CAP.</summary>
    public ControllerCapabilities Capabilities => new(Read32(NvmeRegisters.Capabilities) | (ulong)Read32(NvmeRegisters.Capabilities + 4) << 32);

    /// <summary>CSTS.</summary>
    public ControllerStatus Status => new(Read32(NvmeRegisters.Status));

    /// <summary>Lets the function answer and do DMA, or DMA no more (PCI Local Bus 3.0, section 6.2.2).</summary>
    public void SetWorking(bool working)
    {
        Span<byte> command = stackalloc byte[2];
        BinaryPrimitives.WriteUInt16LittleEndian(command, (ushort)(working ? Working : PciCommand.MemorySpace | PciCommand.InterruptDisable));
        _ = device.Write(VfioRegionIndex.Config, CommandRegister, command);
    }

    /// <summary>Writes 32 bits. What a drive that is gone does not take shows by its status.</summary>
    public void Write32(uint offset, uint value)
    {
        Span<byte> bytes = stackalloc byte[4];
        BinaryPrimitives.WriteUInt32LittleEndian(bytes, value);
        _ = device.Write(VfioRegionIndex.Bar0, offset, bytes);
    }

    /// <summary>Writes 64 bits, as two registers.</summary>
    public void Write64(uint offset, Iova value)
    {
        Write32(offset, (uint)value.Value);
        Write32(offset + 4, (uint)(value.Value >> 32));
    }

    private uint Read32(uint offset)
    {
        Span<byte> bytes = stackalloc byte[4];
        _ = device.Read(VfioRegionIndex.Bar0, offset, bytes);
        return BinaryPrimitives.ReadUInt32LittleEndian(bytes);
    }
}
