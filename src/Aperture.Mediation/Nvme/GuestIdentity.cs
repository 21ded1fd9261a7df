using System.Buffers.Binary;
using System.Globalization;
using System.Security.Cryptography;
using System.Text;

namespace Aperture.Mediation.Nvme;

/// <summary>Ids of features (NVM Express base specification 1.4, section 5.21.1).</summary>
internal static class FeatureIds
{
    /// <summary>Section 5.21.1.6.</summary>
    public const uint VolatileWriteCache = 0x06;

    /// <summary>Section 5.21.1.7.</summary>
    public const uint NumberOfQueues = 0x07;

    /// <summary>Section 5.21.1.11; those below are in order from 1, Arbitration.</summary>
    public const uint AsynchronousEvents = 0x0B;

    /// <summary>Section 5.21.1.3, of which there is none: LBA range types.</summary>
    public const uint LbaRangeType = 0x03;
}

/// <summary>
/// What a guest's controller and its one namespace say of themselves: structures of 4096 bytes (NVM Express base specification 1.4, figures 247, 245 and 249),
/// made from what the drive can do, of which nothing else is passed on.
/// </summary>
internal sealed class GuestIdentity
{
    /// <summary>Number of the guest's namespace.</summary>
    public const uint Namespace = 1;

    /// <summary>Number of the guest's I/O queues, one of each kind.</summary>
    public const int IoQueue = 1;

    /// <summary>Bytes of a structure.</summary>
    public const int Length = 4096;

    /// <summary>Asynchronous Event Requests that may be outstanding.</summary>
    public const int MostEventRequests = 4;

    private const string Model = "Aperture shared NVMe drive";

    private readonly DriveIdentity _drive;
    private readonly BlockShare _share;
    private readonly string _serial;
    private readonly Guid _uuid;

    /// <summary>Makes it.</summary>
    /// <param name="drive">The drive.</param>
    /// <param name="share">The guest's blocks.</param>
    public GuestIdentity(DriveIdentity drive, BlockShare share)
    {
        (_drive, _share) = (drive, share);

        // The same at every start, and no other share's: 128 bits of a digest, marked as a UUID of version 8 (RFC 9562).
        string name = string.Create(CultureInfo.InvariantCulture, $"{drive.Serial} {share.First:x}+{share.Count:x}");
        byte[] digest = SHA256.HashData(Encoding.UTF8.GetBytes(name));
        digest[6] = (byte)(digest[6] & 0x0F | 0x80);
        digest[8] = (byte)(digest[8] & 0x3F | 0x80);
        _uuid = new Guid(digest.AsSpan(0, 16), bigEndian: true);
        _serial = string.Create(CultureInfo.InvariantCulture, $"{_uuid:N}")[..16].ToUpperInvariant();
    }

    /// <summary>The guest's controller has the commands that the drive has.</summary>
    public bool HasWriteCache => _drive.HasWriteCache;

    /// <summary>Writes the structure that CNS asks for; false when there is none such.</summary>
    public bool TryWrite(uint structure, uint space, Span<byte> page, out NvmeStatus status)
    {
        page.Clear();
        status = NvmeStatus.Success;
        switch (structure)
        {
            case 0x00 when space is Namespace or uint.MaxValue:
                WriteNamespace(page);
                return true;
            case 0x01:
                WriteController(page);
                return true;

            // The active namespaces with a number above that one.
            case 0x02 when space < uint.MaxValue - 1:
                BinaryPrimitives.WriteUInt32LittleEndian(page, space < Namespace ? Namespace : 0);
                return true;
            case 0x03 when space == Namespace:
                (page[0], page[1]) = (3, 16);
                _uuid.TryWriteBytes(page[4..], bigEndian: true, out _);
                return true;
            case 0x00 or 0x02 or 0x03:
                status = NvmeStatus.InvalidNamespace;
                return false;
            default:
                status = NvmeStatus.InvalidField;
                return false;
        }
    }

    private void WriteController(Span<byte> page)
    {
        BinaryPrimitives.WriteUInt16LittleEndian(page, NvmeMediator.Vendor);
        BinaryPrimitives.WriteUInt16LittleEndian(page[2..], NvmeMediator.Vendor);
        WriteText(page.Slice(4, 20), _serial);
        WriteText(page.Slice(24, 40), Model);
        WriteText(page.Slice(64, 8), "1");

        // MDTS, in pages of 4 KiB as a power of two.
        page[77] = (byte)(ulong.Log2(_drive.MostTransfer) - 12);

        // CNTLID 1, VER, and OACS: Doorbell Buffer Config.
        page[78] = 1;
        BinaryPrimitives.WriteUInt32LittleEndian(page[80..], NvmeRegisters.Version14);
        BinaryPrimitives.WriteUInt16LittleEndian(page[256..], 1 << 8);

        // ACL and AERL count from 0; one firmware slot, which is read-only (FRMW).
        (page[258], page[259], page[260]) = (3, MostEventRequests - 1, 3);

        // WCTEMP and CCTEMP in kelvins.
        BinaryPrimitives.WriteUInt16LittleEndian(page[266..], 343);
        BinaryPrimitives.WriteUInt16LittleEndian(page[268..], 373);

        // SQES and CQES: 64 and 16 bytes, neither more nor less; NN.
        (page[512], page[513]) = (0x66, 0x44);
        BinaryPrimitives.WriteUInt32LittleEndian(page[516..], Namespace);
        BinaryPrimitives.WriteUInt16LittleEndian(page[520..], (ushort)((_drive.HasWriteZeroes ? 8 : 0) | (_drive.HasDatasetManagement ? 4 : 0)));
        page[525] = (byte)(_drive.HasWriteCache ? 1 : 0);
        Encoding.ASCII.GetBytes($"nqn.2014-08.org.nvmexpress:uuid:{_uuid:D}", page[768..]);
    }

    private void WriteNamespace(Span<byte> page)
    {
        // NSZE, NCAP, NUSE: blocks; one format, without metadata.
        BinaryPrimitives.WriteUInt64LittleEndian(page, _share.Count);
        BinaryPrimitives.WriteUInt64LittleEndian(page[8..], _share.Count);
        BinaryPrimitives.WriteUInt64LittleEndian(page[16..], _share.Count);
        page[130] = (byte)_drive.BlockShift;
    }

    private static void WriteText(Span<byte> field, string text)
    {
        field.Fill((byte)' ');
        Encoding.ASCII.GetBytes(text, field);
    }
}
