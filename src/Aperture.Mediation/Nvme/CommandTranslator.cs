using System.Buffers.Binary;

namespace Aperture.Mediation.Nvme;

/// <summary>
/// Turns a guest's I/O command into one of the drive's, or refuses it. The drive's command is made anew from what is known and checked: of the guest's own
/// entry nothing else gets through. What the guest's pointers point to (lists of pages, ranges of blocks) is copied first, and the copy is checked and used,
/// since the guest may change its memory at any moment. One guest's; not thread-safe.
/// </summary>
/// <param name="drive">What the drive can do.</param>
/// <param name="space">Number of the namespace that is shared.</param>
/// <param name="share">The guest's blocks.</param>
/// <param name="ram">The guest's memory.</param>
internal sealed class CommandTranslator(DriveIdentity drive, uint space, BlockShare share, GuestRam ram)
{
    private const int Page = NvmeRegisters.Page;
    private const uint Everything = uint.MaxValue;
    private const int PointersPerPage = Page / sizeof(ulong);
    private const int RangeLength = 16;

    // Word 12 of reads and writes: NLB, FUA, LR; of Write Zeroes DEAC too. Protection is not in a namespace without metadata, directives are not offered.
    private const uint TransferBits = 0xC000_FFFF;
    private const uint ZeroBits = 0xC200_FFFF;

    // Word 11 of Dataset Management: AD. The others are hints.
    private const uint Deallocate = 4;

    private readonly byte[] _copy = new byte[Page];

    /// <summary>The drive's command for <paramref name="guest"/>, which belongs into the slot of its pair.</summary>
    /// <param name="guest">A copy of the guest's entry.</param>
    /// <param name="pair">Where pages of pointers are written.</param>
    /// <param name="slot">The slot; it is the command's id.</param>
    /// <param name="command">The command, when the answer is success.</param>
    public NvmeStatus Translate(in SubmissionEntry guest, DriveQueuePair pair, int slot, out SubmissionEntry command)
    {
        command = new SubmissionEntry { Opcode = guest.Opcode, Id = (ushort)slot, Namespace = space };
        if (!IsOffered(guest.Opcode))
        {
            return NvmeStatus.InvalidOpcode;
        }

        // Fused with another (FUSE), or with SGLs (PSDT), which the guest's controller has not.
        if (guest.Flags != 0)
        {
            return NvmeStatus.InvalidField;
        }

        if (guest.Namespace != GuestIdentity.Namespace && !(guest.Namespace == Everything && guest.Opcode == (byte)IoOpcode.Flush))
        {
            return NvmeStatus.InvalidNamespace;
        }

        return (IoOpcode)guest.Opcode switch
        {
            IoOpcode.Flush => NvmeStatus.Success,
            IoOpcode.DatasetManagement => TranslateRanges(guest, pair, slot, ref command),
            _ => TranslateBlocks(guest, pair, slot, ref command),
        };
    }

    private bool IsOffered(byte opcode) => (IoOpcode)opcode switch
    {
        IoOpcode.Flush or IoOpcode.Read or IoOpcode.Write => true,
        IoOpcode.WriteZeroes => drive.HasWriteZeroes,
        IoOpcode.DatasetManagement => drive.HasDatasetManagement,
        _ => false,
    };

    private NvmeStatus TranslateBlocks(in SubmissionEntry guest, DriveQueuePair pair, int slot, ref SubmissionEntry command)
    {
        ulong count = (guest.Word12 & 0xFFFF) + 1;
        if (!share.Has(guest.FirstBlock, count))
        {
            return NvmeStatus.LbaOutOfRange;
        }

        bool transfers = guest.Opcode != (byte)IoOpcode.WriteZeroes;
        ulong first = share.First + guest.FirstBlock;
        command = command with { Word10 = (uint)first, Word11 = (uint)(first >> 32), Word12 = guest.Word12 & (transfers ? TransferBits : ZeroBits) };
        if (!transfers)
        {
            return NvmeStatus.Success;
        }

        ulong length = count << drive.BlockShift;
        return length > drive.MostTransfer
            ? NvmeStatus.InvalidField
            : TranslatePages(guest, length, guest.Opcode == (byte)IoOpcode.Read, pair, slot, ref command);
    }

    // Section 4.3: the first pointer may begin inside a page; the second is a page, or a list where there are more than two.
    private NvmeStatus TranslatePages(
        in SubmissionEntry guest, ulong length, bool forWriting, DriveQueuePair pair, int slot, ref SubmissionEntry command)
    {
        ulong first = Math.Min(length, Page - guest.Prp1 % Page);
        if (guest.Prp1 % 4 != 0)
        {
            return NvmeStatus.InvalidPrpOffset;
        }

        if (!ram.TryTranslate(new GuestAddress(guest.Prp1), first, forWriting, out Iova iova))
        {
            return NvmeStatus.DataTransferError;
        }

        command = command with { Prp1 = iova.Value };
        ulong rest = length - first;
        if (rest == 0)
        {
            return NvmeStatus.Success;
        }

        if (rest > Page)
        {
            command = command with { Prp2 = pair.PageAt(slot).Value };
            return TranslateList(new GuestAddress(guest.Prp2), rest, forWriting, pair, slot);
        }

        NvmeStatus status = TranslatePage(guest.Prp2, rest, forWriting, out iova);
        command = command with { Prp2 = iova.Value };
        return status;
    }

    private NvmeStatus TranslatePage(ulong pointer, ulong length, bool forWriting, out Iova iova)
    {
        iova = default;
        return pointer % Page != 0 ? NvmeStatus.InvalidPrpOffset
            : ram.TryTranslate(new GuestAddress(pointer), length, forWriting, out iova) ? NvmeStatus.Success
            : NvmeStatus.DataTransferError;
    }

    // The list may begin inside a page, whose last entry then points to its next one. The drive's list is one page: no transfer needs more.
    private NvmeStatus TranslateList(GuestAddress list, ulong rest, bool forWriting, DriveQueuePair pair, int slot)
    {
        int left = (int)((rest + Page - 1) / Page);
        int written = 0;
        while (true)
        {
            if (!list.IsAligned(sizeof(ulong)))
            {
                return NvmeStatus.InvalidPrpOffset;
            }

            int room = PointersPerPage - (int)(list.Value % Page / sizeof(ulong));
            int here = left <= room ? left : room - 1;
            Span<byte> copy = _copy.AsSpan(0, (left <= room ? here : room) * sizeof(ulong));
            if (!ram.Read(list, copy))
            {
                return NvmeStatus.DataTransferError;
            }

            for (int i = 0; i < here; i++, written++, left--)
            {
                ulong length = Math.Min(rest - (ulong)written * Page, Page);
                NvmeStatus status = TranslatePage(BinaryPrimitives.ReadUInt64LittleEndian(copy[(i * sizeof(ulong))..]), length, forWriting, out Iova iova);
                if (!status.IsSuccess)
                {
                    return status;
                }

                pair.WritePage(slot, written, iova.Value);
            }

            if (left == 0)
            {
                return NvmeStatus.Success;
            }

            // A list that gives no pointer, but the next page only, ends too: each page but the first gives 511.
            list = new GuestAddress(BinaryPrimitives.ReadUInt64LittleEndian(copy[(here * sizeof(ulong))..]));
            if (!list.IsAligned(Page))
            {
                return NvmeStatus.InvalidPrpOffset;
            }
        }
    }

    // Section 6.7: up to 256 ranges of 16 bytes, which the guest may lay over two pages.
    private NvmeStatus TranslateRanges(in SubmissionEntry guest, DriveQueuePair pair, int slot, ref SubmissionEntry command)
    {
        int ranges = (int)(guest.Word10 & 0xFF) + 1;
        Span<byte> copy = _copy.AsSpan(0, ranges * RangeLength);
        NvmeStatus status = GuestPages.Copy(ram, guest, copy);
        for (int i = 0; i < ranges && status.IsSuccess; i++)
        {
            Span<byte> range = copy.Slice(i * RangeLength, RangeLength);
            uint count = BinaryPrimitives.ReadUInt32LittleEndian(range[4..]);
            ulong first = BinaryPrimitives.ReadUInt64LittleEndian(range[8..]);
            status = share.Has(first, count) ? status : NvmeStatus.LbaOutOfRange;
            pair.WritePage(slot, 2 * i, (ulong)count << 32);
            pair.WritePage(slot, 2 * i + 1, share.First + first);
        }

        command = command with { Prp1 = pair.PageAt(slot).Value, Word10 = (uint)(ranges - 1), Word11 = guest.Word11 & Deallocate };
        return status;
    }
}
