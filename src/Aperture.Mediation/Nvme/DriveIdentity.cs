using System.Buffers.Binary;
using System.Text;

namespace Aperture.Mediation.Nvme;

/// <summary>What a drive and one of its namespaces say of themselves, of what matters here.</summary>
/// <param name="Serial">SN, without blanks at its end.</param>
/// <param name="MostTransfer">Bytes of the longest command, by MDTS and by what one page of pointers holds.</param>
/// <param name="HasWriteCache">VWC: what was written may need a flush.</param>
/// <param name="HasWriteZeroes">ONCS: the command is there.</param>
/// <param name="HasDatasetManagement">ONCS: the command is there.</param>
/// <param name="Blocks">NSZE: blocks of the namespace.</param>
/// <param name="BlockShift">LBADS: bytes of a block, as a power of two.</param>
internal sealed record DriveIdentity(
    string Serial, ulong MostTransfer, bool HasWriteCache, bool HasWriteZeroes, bool HasDatasetManagement, ulong Blocks, int BlockShift)
{
    private const ulong OnePageOfPointers = (ulong)NvmeRegisters.Page / sizeof(ulong) * NvmeRegisters.Page;

    /// <summary>Bytes of the namespace.</summary>
    public ulong Bytes => Blocks << BlockShift;

    /// <summary>Reads the structures of Identify (NVM Express base specification 1.4, figures 247 and 245).</summary>
    /// <exception cref="ApertureException">The namespace is none, or cannot be shared.</exception>
    public static DriveIdentity Read(string drive, uint number, ReadOnlySpan<byte> controller, ReadOnlySpan<byte> space)
    {
        ulong blocks = BinaryPrimitives.ReadUInt64LittleEndian(space);
        if (blocks == 0)
        {
            throw Refusal(drive, $"has no namespace {number}; nsid= names another");
        }

        uint format = BinaryPrimitives.ReadUInt32LittleEndian(space[(128 + 4 * (space[26] & 0xF))..]);
        int shift = (int)(format >> 16 & 0xFF);
        if ((ushort)format != 0 || (space[29] & 7) != 0)
        {
            throw Refusal(drive, $"has metadata or protection information in its namespace {number}, which cannot be shared; format it without");
        }

        if (shift is < 9 or > 12)
        {
            throw Refusal(drive, $"has blocks of 2^{shift} bytes in its namespace {number}; only those of 512 to 4096 bytes can be shared");
        }

        int mdts = controller[77];
        ulong most = mdts is 0 or > 9 ? OnePageOfPointers : (ulong)NvmeRegisters.Page << mdts;
        ushort optional = BinaryPrimitives.ReadUInt16LittleEndian(controller[520..]);
        string serial = Encoding.ASCII.GetString(controller.Slice(4, 20)).TrimEnd(' ', '\0');
        return new DriveIdentity(serial, most, (controller[525] & 1) != 0, (optional & 8) != 0, (optional & 4) != 0, blocks, shift);
    }

    private static ApertureException Refusal(string drive, string what) => new($"the drive {drive} {what}", ApertureException.HostFailure);
}
