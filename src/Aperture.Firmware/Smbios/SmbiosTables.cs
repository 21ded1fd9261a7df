using System.Buffers.Binary;
using Aperture.Firmware.Acpi;
using Aperture.Firmware.Platform;

namespace Aperture.Firmware.Smbios;

/// <summary>
/// The SMBIOS structures that firmware copies into guest memory, in the form of SMBIOS 2.8, which every firmware and guest takes. Type 0 describes the
/// firmware, and each firmware adds its own; it is there for guests that none starts.
/// </summary>
/// <param name="Anchor">The entry point, without the structures' address.</param>
/// <param name="Structures">The structures, types 1, 3, 4, 16, 17, 19, 32 and 127.</param>
public sealed record SmbiosTables(ReadOnlyMemory<byte> Anchor, ReadOnlyMemory<byte> Structures)
{
    /// <summary>Where guests look for the entry point, at multiples of 16 (SMBIOS 3.7, 5.2.1).</summary>
    public static readonly AddressRange SearchArea = new(new GuestAddress(0xF_0000), 0x1_0000);

    private const ushort FirmwareHandle = 0;
    private const ushort SystemHandle = 0x100;
    private const ushort ChassisHandle = 0x300;
    private const ushort ProcessorHandle = 0x400;
    private const ushort ArrayHandle = 0x1000;
    private const ushort DeviceHandle = 0x1100;
    private const ushort MappedHandle = 0x1300;
    private const ushort BootHandle = 0x2000;
    private const ushort EndHandle = 0x7F00;

    private const ushort NoHandle = 0xFFFF;
    private const ushort NoErrorInformation = 0xFFFE;
    private const byte Other = 1;
    private const byte Unknown = 2;
    private const byte Safe = 3;
    private const int MostMappedRanges = 64;

    // Of the entry point: its checksum, that of its second half with where the half starts, and the structures' address (5.2.1).
    private const int AnchorChecksum = 4;
    private const int Intermediate = 16;
    private const int IntermediateChecksum = 21;
    private const int StructuresAddress = 24;
    private const int Paragraph = 16;

    /// <summary>Builds the structures.</summary>
    /// <param name="description">Names.</param>
    /// <param name="uuid">The machine's UUID.</param>
    /// <param name="platform">Its processors and RAM.</param>
    /// <param name="isWhole">No firmware will add structures of its own.</param>
    /// <exception cref="ApertureException">A name is too long or not ASCII.</exception>
    public static SmbiosTables Build(SmbiosDescription description, Guid uuid, PlatformDescription platform, bool isWhole = false)
    {
        ArgumentNullException.ThrowIfNull(description);
        ArgumentNullException.ThrowIfNull(platform);
        var writer = new SmbiosWriter();
        if (isWhole)
        {
            WriteFirmware(writer, description);
        }

        WriteSystem(writer, description, uuid, platform.Board);
        WriteChassis(writer, description);
        WriteProcessor(writer, description, platform.ApicIds.Count);
        WriteMemory(writer, platform.Ram);

        // Type 32 (7.33): no error. Type 127 (7.45): the end.
        writer.Begin(32, 11, BootHandle).U32(0).U16(0).U8(0).End();
        writer.Begin(127, 4, EndHandle).End();
        return new SmbiosTables(writer.EntryPoint(), writer.ToArray());
    }

    /// <summary>What goes to guest memory at <paramref name="start"/>, a multiple of 16: the entry point, and the structures behind it.</summary>
    public byte[] At(GuestAddress start)
    {
        byte[] bytes = new byte[((Anchor.Length + Paragraph - 1) & ~(Paragraph - 1)) + Structures.Length];
        Span<byte> anchor = bytes.AsSpan(0, Anchor.Length);
        Anchor.Span.CopyTo(anchor);
        Structures.Span.CopyTo(bytes.AsSpan(bytes.Length - Structures.Length));
        BinaryPrimitives.WriteUInt32LittleEndian(anchor[StructuresAddress..], (uint)start.Value + (uint)(bytes.Length - Structures.Length));
        (anchor[AnchorChecksum], anchor[IntermediateChecksum]) = (0, 0);
        anchor[IntermediateChecksum] = AcpiTableBuilder.Checksum(anchor[Intermediate..]);
        anchor[AnchorChecksum] = AcpiTableBuilder.Checksum(anchor);
        return bytes;
    }

    /// <summary>Type 0 (7.1): the monitor stands for the firmware. No characteristic is told but that the machine is a virtual one.</summary>
    private static void WriteFirmware(SmbiosWriter writer, SmbiosDescription description)
    {
        const ushort Segment = 0xF000;
        const ulong CharacteristicsNotSupported = 1 << 3;
        const ushort VirtualMachine = 1 << 12;
        const byte NoNumber = 0xFF;
        writer.Begin(0, 24, FirmwareHandle)
            .Text(description.Manufacturer).Text(description.Version).U16(Segment).Text(description.FirmwareDate)
            .U8(0).U64(CharacteristicsNotSupported).U16(VirtualMachine)
            .U8(NoNumber).U8(NoNumber).U8(NoNumber).U8(NoNumber)
            .End();
    }

    /// <summary>Type 1 (7.2). A UUID's first three fields are little-endian there.</summary>
    private static void WriteSystem(SmbiosWriter writer, SmbiosDescription description, Guid uuid, BoardKind board)
    {
        const byte PowerSwitch = 6;
        string product = description.Product ?? (board == BoardKind.Q35 ? "Q35 virtual machine" : "i440FX virtual machine");
        writer.Begin(1, 27, SystemHandle)
            .Text(description.Manufacturer).Text(product).Text(description.Version).Text(description.Serial)
            .Append(uuid.ToByteArray()).U8(PowerSwitch)
            .Text("").Text("Virtual machine")
            .End();
    }

    /// <summary>Type 3 (7.4).</summary>
    private static void WriteChassis(SmbiosWriter writer, SmbiosDescription description) =>
        writer.Begin(3, 22, ChassisHandle)
            .Text(description.Manufacturer).U8(Other).Text(description.Version).Text(description.Serial).Text("")
            .U8(Safe).U8(Safe).U8(Safe).U8(Unknown)
            .U32(0).U8(0).U8(0).U8(0).U8(0).Text("")
            .End();

    /// <summary>Type 4 (7.5): one socket with a core for each processor; speeds and caches unknown.</summary>
    private static void WriteProcessor(SmbiosWriter writer, SmbiosDescription description, int count)
    {
        const byte CentralProcessor = 3;
        const byte PopulatedAndEnabled = 0x41;
        const ushort Is64Bit = 1 << 2;
        byte cores = (byte)Math.Min(count, byte.MaxValue);
        writer.Begin(4, 42, ProcessorHandle)
            .Text("CPU 0").U8(CentralProcessor).U8(Other).Text(description.Manufacturer)
            .U64(0).Text(description.Processor).U8(0)
            .U16(0).U16(0).U16(0).U8(PopulatedAndEnabled).U8(Other)
            .U16(NoHandle).U16(NoHandle).U16(NoHandle)
            .Text("").Text("").Text("")
            .U8(cores).U8(cores).U8(cores).U16(Is64Bit).U16(Other)
            .End();
    }

    /// <summary>Types 16, 17 and 19 (7.17, 7.18, 7.20): one array of one module, and where it shows in the address space.</summary>
    private static void WriteMemory(SmbiosWriter writer, IReadOnlyList<AddressRange> ram)
    {
        const byte SystemMemory = 3;
        const byte NoCorrection = 3;
        const uint SeeExtendedCapacity = 0x8000_0000;
        ulong total = ram.Aggregate(0UL, static (sum, range) => sum + range.Size);
        ulong kilobytes = total >> 10;
        bool extended = kilobytes >= SeeExtendedCapacity;
        writer.Begin(16, 23, ArrayHandle)
            .U8(Other).U8(SystemMemory).U8(NoCorrection)
            .U32(extended ? SeeExtendedCapacity : (uint)kilobytes)
            .U16(NoErrorInformation).U16(1).U64(extended ? total : 0)
            .End();
        WriteModule(writer, total);

        // More ranges than a machine with a hole or two has would only make the table long.
        ushort handle = MappedHandle;
        foreach (AddressRange range in ram.Where(static range => !range.IsEmpty).Take(MostMappedRanges))
        {
            bool wide = range.Last.Value >> 10 >= uint.MaxValue;
            writer.Begin(19, 31, handle++)
                .U32(wide ? uint.MaxValue : (uint)(range.Start.Value >> 10))
                .U32(wide ? uint.MaxValue : (uint)(range.Last.Value >> 10))
                .U16(ArrayHandle).U8(1)
                .U64(wide ? range.Start.Value : 0).U64(wide ? range.Last.Value : 0)
                .End();
        }
    }

    private static void WriteModule(SmbiosWriter writer, ulong total)
    {
        const ushort UnknownWidth = 0xFFFF;
        const byte Dimm = 9;
        const byte Ram = 7;
        const ushort OtherDetail = 1 << 1;
        const ushort SeeExtendedSize = 0x7FFF;
        const ushort InKilobytes = 0x8000;
        ulong megabytes = total >> 20;
        ushort size = megabytes switch
        {
            0 => (ushort)(InKilobytes | (total >> 10)),
            < SeeExtendedSize => (ushort)megabytes,
            _ => SeeExtendedSize,
        };
        uint extended = size == SeeExtendedSize ? (uint)Math.Min(megabytes, int.MaxValue) : 0;
        writer.Begin(17, 40, DeviceHandle)
            .U16(ArrayHandle).U16(NoErrorInformation).U16(UnknownWidth).U16(UnknownWidth)
            .U16(size).U8(Dimm).U8(0).Text("DIMM 0").Text("")
            .U8(Ram).U16(OtherDetail).U16(0)
            .Text("Aperture").Text("").Text("").Text("").U8(0)
            .U32(extended).U16(0).U16(0).U16(0).U16(0)
            .End();
    }
}
