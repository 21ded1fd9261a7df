using Aperture.Firmware.Platform;

namespace Aperture.Firmware.Acpi.Arm;

/// <summary>
/// Whose messages go to which translation service (Arm DEN 0049, IO Remapping Table, issue D, the last before nodes had names of their own). No SMMU: a
/// requester's id is its device id.
/// </summary>
internal static class Iort
{
    /// <summary>The translation service as the MADT numbers it.</summary>
    public const uint ItsIdentifier = 0;

    private const uint HeaderSize = 48;
    private const byte ItsGroup = 0;
    private const byte RootComplex = 2;
    private const ushort ItsGroupSize = 24;
    private const ushort RootComplexSize = 36;
    private const ushort MappingSize = 20;
    private const uint LastRequester = 0xFFFF;
    private const byte Revision = 0;

    // Of the root complex: the first with a limit of its memory.
    private const byte RootComplexRevision = 1;

    public static byte[] Build(VirtDescription machine)
    {
        bool hasIts = machine.Gic.Its is not null;
        AcpiTableBuilder table = new("IORT", Revision);
        table.U32(hasIts ? 2u : 1u).U32(HeaderSize).U32(0);
        if (hasIts)
        {
            // A group of one.
            table.U8(ItsGroup).U16(ItsGroupSize).U8(0).U32(0).U32(0).U32(0).U32(1).U32(ItsIdentifier);
        }

        table.U8(RootComplex).U16((ushort)(RootComplexSize + (hasIts ? MappingSize : 0))).U8(RootComplexRevision).U32(0).U32(hasIts ? 1u : 0)
            .U32(hasIts ? RootComplexSize : (uint)0);

        // Memory access: cache coherent, both CPM and DACS. No ATS, the segment, 64 bits of memory.
        table.U32(1).U8(0).U16(0).U8(3).U32(0).U32(machine.Pcie.Ecam.Segment).U8(64).U16(0).U8(0);
        if (hasIts)
        {
            table.U32(0).U32(LastRequester).U32(0).U32(HeaderSize).U32(0);
        }

        return table.Finish();
    }
}
