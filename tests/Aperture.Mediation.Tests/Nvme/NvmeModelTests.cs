using System.Numerics;
using Aperture.Memory;
using FsCheck;
using FsCheck.Fluent;

namespace Aperture.Mediation.Tests.Nvme;

/// <summary>
/// Random commands of three guests, good and bad, against a model that knows single blocks and single bytes: who may touch what is worked out there by listing
/// every block and every byte that a command means, with numbers that do not overflow.
/// </summary>
public class NvmeModelTests
{
    private const int Guests = 3;
    private const int Page = 4096;
    private const int BlockSize = 512;
    private const ulong Data = NvmeGuest.Data;
    private const ulong DataSize = NvmeGuest.RamSize - (Data - NvmeGuest.Base);

    /// <summary>A command, and what its list has; a list lies in the guest's first page of data.</summary>
    public sealed record Step(int Guest, byte Opcode, ulong Block, int Count, ulong Prp1, ulong Prp2, ulong[] List);

    [Fact]
    public void Guests_reach_their_own_blocks_and_memory_and_nothing_else() => Prop.ForAll(Steps().ToArbitrary(), steps =>
    {
        using SharedDrive drive = new(Guests);
        NvmeGuest[] guests = [.. Enumerable.Range(0, Guests).Select(i => new NvmeGuest(drive.Place, i).Start())];
        new System.Random(steps.Count).NextBytes(drive.Drive.Blocks);
        byte[] blocks = [.. drive.Drive.Blocks];
        for (int i = 0; i < Guests; i++)
        {
            guests[i].At(Data, (int)DataSize).Fill((byte)(0xE0 + i));
        }

        byte[][] memory = [.. guests.Select(static g => g.At(Data, (int)DataSize).ToArray())];
        foreach (Step step in steps)
        {
            for (int i = 0; i < step.List.Length; i++)
            {
                guests[step.Guest].WriteLong(Data + (ulong)(8 * i), step.List[i]);
            }

            guests[step.Guest].At(Data, Page).CopyTo(memory[step.Guest]);
            int reached = drive.Drive.Commands.Length;
            bool allowed = Apply(step, blocks, memory[step.Guest]);
            int code = guests[step.Guest].Do(Entry.Block(step.Opcode, step.Block, step.Count, step.Prp1, step.Prp2)).Code;
            Assert.True(allowed == (code == 0), $"{step} is {(allowed ? "" : "not ")}allowed and ended with 0x{code:x}");
            Assert.Equal(allowed ? 1 : 0, drive.Drive.Commands.Length - reached);
        }

        Assert.True(drive.Drive.Blocks.AsSpan().SequenceEqual(blocks));
        for (int i = 0; i < Guests; i++)
        {
            Assert.True(guests[i].At(Data, (int)DataSize).SequenceEqual(memory[i]));
            guests[i].Dispose();
        }

        Assert.Empty(drive.Place.Reports.Notices);
        return true;
    }).Holds(60);

    // False, and nothing is changed, when one block or byte of it is not the guest's.
    private static bool Apply(Step step, byte[] blocks, byte[] memory)
    {
        List<int> touched = [];
        for (int i = 0; i < step.Count; i++)
        {
            BigInteger block = new BigInteger(step.Block) + i;
            if (block >= SharedDrive.ShareBlocks)
            {
                return false;
            }

            touched.Add(SharedDrive.StartBlocks + step.Guest * SharedDrive.ShareBlocks + (int)block);
        }

        if (step.Opcode == 0x08)
        {
            touched.ForEach(b => blocks.AsSpan(b * BlockSize, BlockSize).Clear());
            return true;
        }

        List<BigInteger>? bytes = Bytes(step);
        if (step.Opcode is not (0x01 or 0x02) || bytes is null || bytes.Exists(b => b < Data || b >= Data + DataSize))
        {
            return false;
        }

        for (int i = 0; i < bytes.Count; i++)
        {
            ref byte ofDisk = ref blocks[touched[i / BlockSize] * BlockSize + i % BlockSize];
            ref byte ofMemory = ref memory[(int)(bytes[i] - Data)];
            (ofDisk, ofMemory) = step.Opcode == 0x01 ? (ofMemory, ofMemory) : (ofDisk, ofDisk);
        }

        return true;
    }

    // The address of every byte of a transfer; null when a pointer is not what it has to be.
    private static List<BigInteger>? Bytes(Step step)
    {
        int length = step.Count * BlockSize;
        int inFirst = (int)(Page - step.Prp1 % Page);
        List<ulong> rest = length <= inFirst ? [] : length - inFirst <= Page ? [step.Prp2] : [.. step.List];
        if (step.Prp1 % 4 != 0 || rest.Take((length - inFirst + Page - 1) / Page).Any(static p => p % Page != 0))
        {
            return null;
        }

        List<BigInteger> bytes = [];
        for (int i = 0; i < length; i++)
        {
            int behind = i - inFirst;
            bytes.Add(behind < 0 ? new BigInteger(step.Prp1) + i : new BigInteger(rest[behind / Page]) + behind % Page);
        }

        return bytes;
    }

    private static Gen<List<Step>> Steps() =>
        from count in Gen.Choose(1, 40)
        from steps in OneStep().ListOf(count)
        select steps.ToList();

    private static Gen<Step> OneStep() =>
        from guest in Gen.Choose(0, Guests - 1)
        from opcode in Gen.Frequency((5, Gen.Constant((byte)0x02)), (5, Gen.Constant((byte)0x01)), (2, Gen.Constant((byte)0x08)), (1, Gen.Constant((byte)0x05)))
        from block in Gen.Frequency(
            (12, Gen.Choose(0, 255).Select(static b => (ulong)b)),
            (2, Gen.Choose(250, 300).Select(static b => (ulong)b)),
            (1, Gen.Elements(ulong.MaxValue, ulong.MaxValue - 63, 1UL << 63, uint.MaxValue, 1UL << 55)))
        from many in Gen.Frequency((3, Gen.Choose(1, 16)), (1, Gen.Choose(17, 100)))
        from first in Pointer()
        from offset in Gen.Frequency((2, Gen.Constant(0)), (2, Gen.Choose(0, 1023).Select(static o => o * 4)), (1, Gen.Choose(0, 4095)))
        from second in Pointer()
        from pointers in Pointer().ListOf(14)
        let count = block < 256 && many > 1 ? Math.Min(many, (int)(256 - block) + (many & 1)) : many
        let first4 = first + (ulong)offset
        let isList = count * BlockSize - (int)(Page - first4 % Page) > Page
        select new Step(guest, opcode, block, count, first4, isList ? Data : second, isList ? [.. pointers] : []);

    // Mostly a page of the guest's; sometimes none, or none of its own, or not a page. The queues' pages are left out, so that they last.
    private static Gen<ulong> Pointer() => Gen.Frequency(
        (40, Gen.Choose(1, (int)(DataSize / Page) - 1).Select(static p => Data + (ulong)(p * Page))),
        (1, Gen.Elements(0UL, 0x10_0000UL, 0x20_0000UL, Data + DataSize, ulong.MaxValue - 4095, 1UL << 63)),
        (1, Gen.Constant(Data + DataSize - 8)));

    [Fact]
    public void A_command_is_fetched_checked_and_answered_without_allocating()
    {
        SoftwareIommu iommu = new();
        SoftwareDrive drive = new(iommu, 512);
        using RamBlock ram = RamBlock.Create("guest", NvmeGuest.RamSize, shared: true);
        using Mediation.Nvme.NvmeMediator mediator = new(new Mediation.HostFunction(drive, iommu, iommu), [64 << 10], 0, 1, new Reports());
        PlainGuest guest = new(ram);
        mediator.Describe(guest.Name);
        using IMediatorSession session = mediator.Open(guest);
        session.MemoryAdded(NvmeGuest.Range, ram.HostAddress, true);
        session.BusMasterChanged(true);
        session.Write(0, 0x24, 4, 15 | 15 << 16);
        session.Write(0, 0x28, 8, NvmeGuest.Base);
        session.Write(0, 0x30, 8, NvmeGuest.Base + 0x1000);
        session.Write(0, 0x14, 4, 0x0046_0001);
        ram.Write(0, new Entry(0x05, 0, NvmeGuest.Base + 0x2000, 0, 1 << 16 | 1, 1 << 16 | 3).Bytes(1));
        ram.Write(64, new Entry(0x01, 0, NvmeGuest.Base + 0x3000, 0, 1 << 16 | 1, 1 << 16 | 1).Bytes(2));
        session.Write(0, 0x1000, 4, 2);
        Assert.True(SpinWait.SpinUntil(() => ram.Read<ushort>(0x1000 + 16 + 12) == 2, 20_000));
        Assert.Single(drive.Queues);

        // A list whose last page is nobody's: everything is looked at, and nothing reaches the drive.
        byte[] entry = Entry.Block(0x02, 0, 64, Data, Data + Page).Bytes(7);
        ram.Write(0x3000, entry);
        ram.Write(0x3040, entry);
        for (int i = 0; i < 7; i++)
        {
            ram.Write(Data + Page - NvmeGuest.Base + (ulong)(8 * i), i == 6 ? 0x1000UL : Data + (ulong)(i * Page));
        }

        uint at = 0;
        Allocations.None(() =>
        {
            at ^= 1;
            session.Write(0, 0x1008, 4, at);
            session.Write(0, 0x100C, 4, at);
        }, 10_000);
        Assert.Equal(0x04, ram.Read<ushort>(0x2000 + 14) >> 1 & 0x7FF);
        Assert.Equal(1u, session.Read(0, 0x1C, 4));
        Assert.True(guest.Raised >= 10_000);
    }

    private sealed class PlainGuest(RamBlock ram) : IGuest, IDma
    {
        public int Raised { get; private set; }

        public string Name => "plain";

        public IDma Memory => this;

        public bool IsMsixEnabled => true;

        public IReadOnlyList<Grant> Grants => [];

        public bool RaiseMsix(int vector)
        {
            Raised++;
            return true;
        }

        public void SetIntx(bool asserted)
        {
        }

        public void Revoke(int bar, ulong offset, ulong size)
        {
        }

        public bool Read(GuestAddress address, Span<byte> destination)
        {
            ram.Read(address.Value - NvmeGuest.Base, destination);
            return true;
        }

        public bool Write(GuestAddress address, ReadOnlySpan<byte> source)
        {
            ram.Write(address.Value - NvmeGuest.Base, source);
            return true;
        }
    }
}
