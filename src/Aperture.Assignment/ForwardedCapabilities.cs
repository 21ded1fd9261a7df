using Aperture.Pci;
using Aperture.Pci.Capabilities;
using Aperture.Pci.Registers;

namespace Aperture.Assignment;

/// <summary>A standard capability whose registers behind the header are the device's own (<see cref="ForwardedBytes"/>).</summary>
internal sealed class ForwardedCapability(byte id, int length) : StandardCapability(id, length)
{
    protected override void Define()
    {
    }
}

/// <summary>An extended capability whose registers behind the header are the device's own; with id 0 it just carries the chain on.</summary>
internal sealed class ForwardedExtendedCapability(ushort id, byte version, int length) : ExtendedCapability(id, version, length)
{
    protected override void Define()
    {
    }
}

/// <summary>
/// Advanced Features, id 0x13 (PCI Advanced Capabilities for Conventional PCI ECN, 2006): function level reset for conventional functions. Reset is ours
/// to order, so the register is emulated.
/// </summary>
internal sealed class AdvancedFeaturesCapability(bool canReset) : StandardCapability(PciCapabilityIds.AdvancedFeatures, Size)
{
    // Behind the header: the length, what the function can, control and status.
    private const int Size = 6;
    private const int LengthRegister = 0x02;
    private const int Capabilities = 0x03;
    private const int Control = 0x04;
    private const uint TransactionsPending = 1 << 0;
    private const uint FunctionReset = 1 << 1;
    private const uint InitiateFunctionReset = 1;

    protected override void Define()
    {
        // Transactions pending and function level reset come together; the control register reads as 0.
        Config.Define(Offset + LengthRegister, 1, Size);
        Config.Define(Offset + Capabilities, 1, canReset ? TransactionsPending | FunctionReset : 0u);
        Config.Define(Offset + Control, 2, 0);
    }

    protected override ConfigChange OnWritten(in RegisterWrite write) =>
        canReset && write.Register == Control && (write.Written & InitiateFunctionReset) != 0 ? ConfigChange.FunctionReset : ConfigChange.None;
}

/// <summary>
/// Resizable BAR, id 0x0015 (PCI Express 5.0, section 7.8.6), read-only: each BAR offers the size that it has, because its place in the map is fixed
/// before the guest runs.
/// </summary>
internal sealed class FixedResizableBarCapability(byte version, uint[] controls)
    : ExtendedCapability(PciCapabilityIds.ResizableBar, version, 4 + (8 * controls.Length))
{
    /// <summary>The largest number of BARs in one capability.</summary>
    public const int MostBars = 6;

    // The capability register names 1 MiB << 0 to 1 MiB << 27 in its bits 31:4.
    private const int LargestNamedSize = 27;
    private const int FirstNamedBit = 4;

    // The first BAR's two registers; each further BAR has its own 8 bytes on.
    private const int Capability = 0x04;
    private const int Control = 0x08;
    private const int Stride = 8;

    // Control: BAR index, number of BARs, size; what else is there is reserved.
    private const int SizeShift = 8;
    private const uint SizeMask = 0x3F;
    private const uint ControlShown = 7 | 7 << 5 | SizeMask << SizeShift;

    protected override void Define()
    {
        for (int i = 0; i < controls.Length; i++)
        {
            int size = (int)(controls[i] >> SizeShift & SizeMask);
            Config.Define(Offset + Capability + (Stride * i), 4, size <= LargestNamedSize ? 1u << (size + FirstNamedBit) : 0);
            Config.Define(Offset + Control + (Stride * i), 4, controls[i] & ControlShown);
        }
    }
}

/// <summary>
/// The vendor-specific capability by which an NVIDIA driver learns which virtual GPUs can reach each other: "P2P", then the clique in bits 6:3 (NVIDIA,
/// "GPUDirect with PCI Pass-Through Virtualization").
/// </summary>
internal sealed class GpuDirectCapability(byte clique) : StandardCapability(PciCapabilityIds.VendorSpecific, Size)
{
    /// <summary>Bytes of the capability.</summary>
    public const int Size = 8;

    /// <summary>Where the driver's authors put it.</summary>
    public const int UsualOffset = 0xC8;

    /// <summary>Where it goes when the usual place is taken.</summary>
    public const int OtherOffset = 0xD4;

    private const int LengthRegister = 0x02;
    private const int SignatureRegister = 0x03;
    private const int CliqueRegister = 0x04;

    // Version 0 in the byte behind the signature, whose bits 6:3 are the clique.
    private const int CliqueShift = 19;

    protected override void Define()
    {
        Config.Define(Offset + LengthRegister, 1, Size);
        Config.Define(Offset + SignatureRegister, 1, 'P');
        Config.Define(Offset + CliqueRegister, 4, '2' | (uint)'P' << 8 | (uint)clique << CliqueShift);
    }
}
