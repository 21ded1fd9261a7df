using System.Buffers.Binary;
using System.Text;
using Aperture.Firmware.Platform;
using Aperture.Firmware.Smbios;
using Aperture.Firmware.Tests.Acpi;

namespace Aperture.Firmware.Tests.Smbios;

public class SmbiosTests
{
    private static readonly Guid Uuid = Guid.Parse("00112233-4455-6677-8899-aabbccddeeff");

    /// <summary>One structure as a reader that knows only the specification sees it.</summary>
    private sealed record Structure(byte Type, ushort Handle, byte[] Formatted, string[] Strings)
    {
        public string Text(int at) => Formatted[at] == 0 ? "" : Strings[Formatted[at] - 1];

        public uint U16(int at) => BinaryPrimitives.ReadUInt16LittleEndian(Formatted.AsSpan(at));

        public uint U32(int at) => BinaryPrimitives.ReadUInt32LittleEndian(Formatted.AsSpan(at));

        public ulong U64(int at) => BinaryPrimitives.ReadUInt64LittleEndian(Formatted.AsSpan(at));
    }

    private static List<Structure> Parse(SmbiosTables tables)
    {
        byte[] bytes = tables.Structures.ToArray();
        List<Structure> found = [];
        int largest = 0;
        for (int at = 0; at < bytes.Length;)
        {
            int end = at + bytes[at + 1];
            byte[] formatted = bytes[at..end];
            List<string> strings = [];
            if (bytes[end] == 0)
            {
                Assert.Equal(0, bytes[end + 1]);
                end += 2;
            }
            else
            {
                while (bytes[end] != 0)
                {
                    int length = bytes.AsSpan(end).IndexOf((byte)0);
                    strings.Add(Encoding.ASCII.GetString(bytes, end, length));
                    end += length + 1;
                }

                end++;
            }

            found.Add(new Structure(formatted[0], BinaryPrimitives.ReadUInt16LittleEndian(formatted.AsSpan(2)), formatted, [.. strings]));
            largest = Math.Max(largest, end - at);
            at = end;
        }

        byte[] anchor = tables.Anchor.ToArray();
        Assert.Equal("_SM_"u8, anchor.AsSpan(0, 4));
        Assert.Equal("_DMI_"u8, anchor.AsSpan(16, 5));
        Assert.Equal((31, 31), (anchor.Length, anchor[5]));
        Assert.Equal(0, Sum(anchor));
        Assert.Equal(0, Sum(anchor.AsSpan(16)));
        Assert.Equal(
            (largest, bytes.Length, 0, found.Count),
            (Word(anchor, 8), Word(anchor, 22), BinaryPrimitives.ReadInt32LittleEndian(anchor.AsSpan(24)), Word(anchor, 28)));
        Assert.Equal(found.Count, found.Select(static structure => structure.Handle).Distinct().Count());
        return found;
    }

    private static int Word(byte[] bytes, int at) => BinaryPrimitives.ReadUInt16LittleEndian(bytes.AsSpan(at));

    private static byte Sum(ReadOnlySpan<byte> bytes)
    {
        byte sum = 0;
        foreach (byte value in bytes)
        {
            sum += value;
        }

        return sum;
    }

    [Fact]
    public void Structures_tell_the_machine_the_processors_and_the_RAM_ranges_and_end_with_type_127()
    {
        PlatformDescription platform = SamplePlatforms.Get("large");
        List<Structure> found = Parse(SmbiosTables.Build(new SmbiosDescription { Serial = "S1" }, Uuid, platform));
        Assert.Equal([1, 3, 4, 16, 17, 19, 19, 32, 127], found.Select(static structure => (int)structure.Type));
        Structure system = found[0];
        Assert.Equal(("Aperture", "Q35 virtual machine", "S1"), (system.Text(4), system.Text(5), system.Text(7)));
        Assert.Equal(Convert.FromHexString("33221100554477668899AABBCCDDEEFF"), system.Formatted[8..24]);
        Assert.Equal((64, 64, 64), (found[2].Formatted[0x23], found[2].Formatted[0x24], found[2].Formatted[0x25]));
        Assert.Equal((4u << 20, 1u), (found[3].U32(7), found[3].U16(13)));
        Assert.Equal(((uint)found[3].Handle, 4096u), (found[4].U16(4), found[4].U16(12)));
        Assert.Equal((0u, (0x8000_0000u >> 10) - 1), (found[5].U32(4), found[5].U32(8)));
        Assert.Equal((1u << 22, (1u << 22) + (1u << 21) - 1), (found[6].U32(4), found[6].U32(8)));
    }

    [Fact]
    public void Where_no_firmware_adds_type_0_the_tables_bring_one_and_lie_behind_their_entry_point()
    {
        SmbiosTables tables = SmbiosTables.Build(new SmbiosDescription(), Uuid, SamplePlatforms.Get("large"), isWhole: true);
        List<Structure> found = Parse(tables);
        Structure firmware = found[0];
        Assert.Equal([0, 1, 3], found.Take(3).Select(static structure => (int)structure.Type));
        Assert.Equal(("Aperture", "1", "01/01/2026"), (firmware.Text(4), firmware.Text(5), firmware.Text(8)));

        // Characteristics not supported (bit 3); the machine is a virtual one (extension byte 2, bit 4).
        Assert.Equal((8UL, (byte)0x10), (firmware.U64(10), firmware.Formatted[0x13]));
        byte[] memory = tables.At(new GuestAddress(0xF_1230));
        Assert.Equal(0xF_1250, BinaryPrimitives.ReadInt32LittleEndian(memory.AsSpan(24)));
        Assert.Equal(tables.Structures.ToArray(), memory[0x20..]);
        Assert.Equal((0, 0), (Sum(memory.AsSpan(0, 31)), Sum(memory.AsSpan(16, 15))));
    }

    [Fact]
    public void RAM_that_32_bit_fields_cannot_say_is_said_by_the_extended_ones()
    {
        PlatformDescription platform = SamplePlatforms.Get("no-ecam") with
        {
            Ram = [SamplePlatforms.Range(0, 0x8000_0000), SamplePlatforms.Range(0x1_0000_0000, 8UL << 40)],
        };
        List<Structure> found = Parse(SmbiosTables.Build(new SmbiosDescription(), Uuid, platform));
        ulong total = (8UL << 40) + 0x8000_0000;
        Assert.Equal((0x8000_0000u, total), (found[3].U32(7), found[3].U64(15)));
        Assert.Equal((0x7FFFu, (uint)(total >> 20)), (found[4].U16(12), found[4].U32(0x1C)));
        Assert.Equal((uint.MaxValue, uint.MaxValue), (found[6].U32(4), found[6].U32(8)));
        Assert.Equal((0x1_0000_0000UL, 0x1_0000_0000UL + (8UL << 40) - 1), (found[6].U64(15), found[6].U64(23)));
    }

    [Fact]
    public void Names_that_SMBIOS_cannot_hold_are_refused()
    {
        PlatformDescription platform = SamplePlatforms.Get("bare");
        Assert.Throws<ApertureException>(() => SmbiosTables.Build(new SmbiosDescription { Serial = new string('x', 65) }, Uuid, platform));
        Assert.Throws<ApertureException>(() => SmbiosTables.Build(new SmbiosDescription { Product = "a\0b" }, Uuid, platform));
    }

    [Fact]
    public void Dmidecode_reads_every_structure_without_a_complaint()
    {
        Assert.SkipUnless(AcpiTools.Have("dmidecode"), "dmidecode is not installed (Debian package dmidecode)");
        SmbiosTables tables = SmbiosTables.Build(new SmbiosDescription(), Uuid, SamplePlatforms.Get("large"));

        // Its dump format: the entry point, with the structures' offset in the file for their address.
        byte[] dump = new byte[32 + tables.Structures.Length];
        tables.Anchor.CopyTo(dump);
        dump[24] = 32;
        dump[21] -= 32;
        tables.Structures.CopyTo(dump.AsMemory(32));
        using AcpiTools tools = new();
        (int code, string output) = tools.Run("dmidecode", "--from-dump", tools.Save("dmi.bin", dump));
        Assert.True(code == 0, output);
        Assert.DoesNotMatch("(?i)wrong|broken|truncated|bad|out of spec|invalid|<", output);
        Assert.Contains("SMBIOS 2.8 present", output, StringComparison.Ordinal);
        Assert.Contains("UUID: 00112233-4455-6677-8899-aabbccddeeff", output, StringComparison.Ordinal);
        Assert.Contains("Size: 4 GB", output, StringComparison.Ordinal);
        Assert.Contains("Core Count: 64", output, StringComparison.Ordinal);
    }
}
