using System.Text;
using Aperture.Linux;

namespace Aperture.Mediation.Tests.Nvme;

/// <summary>A guest's controller as its driver sees it.</summary>
public class NvmeTests
{
    private const ulong Data = NvmeGuest.Data;
    private const int Page = 4096;

    [Fact]
    public void A_controller_comes_up_and_says_what_it_is()
    {
        using SharedDrive drive = new(guests: 2);
        using NvmeGuest guest = new(drive.Place, at: 1);
        Assert.Equal(0x0004_A9E7u, guest.Guest.Read(7, 0));
        Assert.Equal(0x0108_0201u, guest.Guest.Read(7, 8));
        Assert.Equal((0x1401_00FFu, 0x20u), (guest.Guest.Read(0, 0), guest.Guest.Read(0, 4)));
        Assert.Equal((0x10400u, 0u), (guest.Guest.Read(0, 8), guest.Status));
        guest.Start();

        byte[] controller = guest.Identify(1, 0);
        Assert.Equal("Aperture shared NVMe drive", Encoding.ASCII.GetString(controller, 24, 40).TrimEnd());
        Assert.Equal((7, 0x66, 0x44, 1, 12, 1), (controller[77], controller[512], controller[513], controller[516], controller[520], controller[525]));
        Assert.StartsWith("nqn.2014-08.org.nvmexpress:uuid:", Encoding.ASCII.GetString(controller, 768, 256), StringComparison.Ordinal);
        byte[] space = guest.Identify(0, 1);
        Assert.Equal((256UL, 256UL), (BitConverter.ToUInt64(space), BitConverter.ToUInt64(space, 8)));
        Assert.Equal((0, 0, 9), (space[25], space[26], space[130]));
        Assert.Equal([1u, 0u], [BitConverter.ToUInt32(guest.Identify(2, 0)), BitConverter.ToUInt32(guest.Identify(2, 1))]);
        Assert.Equal([3, 16], guest.Identify(3, 1)[..2]);

        Assert.Equal(0x0B, guest.Command(new Entry(0x06, 2, Data)).Code);
        Assert.Equal(0x02, guest.Command(new Entry(0x06, 1, Data, 0, 0x55)).Code);
        Assert.Equal(0x01, guest.Command(new Entry(0x80)).Code);
    }

    [Fact]
    public void Shares_have_names_of_their_own_that_stay()
    {
        using SharedDrive drive = new(guests: 2);
        string[] Names(int at)
        {
            using NvmeGuest guest = new(drive.Place, at);
            guest.Enable();
            return [Encoding.ASCII.GetString(guest.Identify(1, 0), 4, 20), Convert.ToHexString(guest.Identify(3, 1), 4, 16)];
        }

        string[] first = Names(0);
        Assert.Equal(first, Names(0));
        Assert.All(first.Zip(Names(1)), static pair => Assert.NotEqual(pair.First, pair.Second));
    }

    [Theory]
    [InlineData(0, 1)]
    [InlineData(8, 8)]
    [InlineData(100, 9)]
    [InlineData(0x40, 16)]
    [InlineData(512, 17)]
    [InlineData(0xE00, 128)]
    [InlineData(0, 256)]
    public void What_is_written_is_in_the_guests_blocks_and_is_read_back(int offset, int blocks)
    {
        using SharedDrive drive = new();
        using NvmeGuest guest = new NvmeGuest(drive.Place).Start();
        byte[] data = new byte[blocks * 512];
        new Random(blocks).NextBytes(data);
        int first = 256 - blocks;
        (Entry write, ulong[] pages) = Transfer(guest, 0x01, first, blocks, offset);
        Scatter(guest, pages, offset, data);
        Assert.Equal(0, guest.Do(write).Status);
        Assert.Equal(data, drive.Block(0, first, blocks).ToArray());
        Assert.Equal(new DriveCommand(1, 0x01, 0, 1, (ulong)(64 + first), (uint)blocks - 1), Assert.Single(drive.Drive.Commands));

        guest.At(Data, 0x8_0000).Fill(0xCC);
        (Entry read, pages) = Transfer(guest, 0x02, first, blocks, offset);
        Assert.Equal(0, guest.Do(read).Status);
        Assert.Equal(data, Gather(guest, pages, offset, data.Length));
        Assert.Equal(0xCC, guest.At(pages[0] + (ulong)offset - 1, 1)[0]);
    }

    [Fact]
    public void A_list_goes_on_in_the_page_that_its_last_entry_names()
    {
        using SharedDrive drive = new();
        using NvmeGuest guest = new NvmeGuest(drive.Place).Start();
        new Random(3).NextBytes(drive.Block(0, 0, 64));

        // Seven pages behind the first: two pointers, then the next page of the list.
        ulong list = Data + 0x8_0000 + Page - 24;
        ulong second = Data + 0x8_4000;
        ulong PageOf(int i) => Data + (ulong)(2 * i * Page);
        (ulong At, ulong Value)[] pointers =
        [
            (list, PageOf(1)), (list + 8, PageOf(2)), (list + 16, second),
            (second, PageOf(3)), (second + 8, PageOf(4)), (second + 16, PageOf(5)), (second + 24, PageOf(6)), (second + 32, PageOf(7)),
        ];
        Array.ForEach(pointers, p => guest.WriteLong(p.At, p.Value));
        Assert.Equal(0, guest.Do(Entry.Block(0x02, 0, 64, PageOf(0), list)).Status);
        Assert.Equal(drive.Block(0, 0, 64).ToArray(), Enumerable.Range(0, 8).SelectMany(i => guest.At(PageOf(i), Page).ToArray()));
    }

    [Fact]
    public void Blocks_are_cleared_and_given_up_and_flushed()
    {
        using SharedDrive drive = new();
        using NvmeGuest guest = new NvmeGuest(drive.Place).Start();
        drive.Drive.Blocks.AsSpan().Fill(0x11);
        Assert.Equal(0, guest.Do(new Entry(0x08, 1, 0, 0, 10, 0, 5 - 1)).Status);
        Range(guest, Data, (20, 3), (40, 1));
        Assert.Equal(0, guest.Do(new Entry(0x09, 1, Data, 0, 1, 4)).Status);
        Assert.Equal(0, guest.Do(new Entry(0x00)).Status);
        Assert.Equal(0, guest.Do(new Entry(0x00, uint.MaxValue)).Status);
        int[] cleared = [.. Enumerable.Range(0, drive.Drive.Blocks.Length / 512).Where(b => drive.Drive.Blocks[b * 512] == 0)];
        Assert.Equal([74, 75, 76, 77, 78, 84, 85, 86, 104], cleared);
    }

    [Fact]
    public void What_the_drive_has_not_the_guest_has_not()
    {
        SoftwareIommu iommu = new();
        SoftwareDrive bare = new(iommu, 512) { Optional = 0, Mdts = 1, Capabilities = 7 | 1UL << 16 | 1UL << 37 };
        using Place place = new(new Mediation.Nvme.NvmeMediator(new(bare, iommu, iommu), [128 << 10], 0, 1, new Reports()));
        using NvmeGuest guest = new NvmeGuest(place).Start(entries: 8);
        Assert.Equal(0x1401_0007u, guest.Guest.Read(0, 0));
        byte[] controller = guest.Identify(1, 0);
        Assert.Equal((1, 0), (controller[77], controller[520]));
        Assert.Equal(0x01, guest.Do(new Entry(0x08)).Code);
        Assert.Equal(0x01, guest.Do(new Entry(0x09, 1, Data, 0, 0, 4)).Code);
        Assert.Equal(0x02, guest.Do(Entry.Block(0x02, 0, 17, Data, Data + Page)).Code);
        Assert.Equal(0, guest.Do(Entry.Block(0x02, 0, 16, Data, Data + Page)).Code);
    }

    [Fact]
    public void Completions_raise_the_vectors_that_the_guest_chose()
    {
        using SharedDrive drive = new();
        using NvmeGuest guest = new(drive.Place);
        using EventFd admin = guest.Guest.Tie(2, 0);
        using EventFd io = guest.Guest.Tie(2, 1);
        guest.Start();
        Assert.True(admin.TryTake(out _));
        Assert.False(io.TryTake(out _));
        Assert.Equal(0, guest.Do(Entry.Block(0x02, 0, 1, Data)).Status);
        Assert.True(SpinWait.SpinUntil(() => io.TryTake(out _), 20_000));
    }

    [Fact]
    public void Features_and_logs_are_the_controllers_own()
    {
        using SharedDrive drive = new();
        using NvmeGuest guest = new NvmeGuest(drive.Place).Start();
        Assert.Equal((0, 0u), Result(new Entry(0x09, 0, 0, 0, 7, 31 << 16 | 31)));
        Assert.Equal((0, 0u), Result(new Entry(0x09, 0, 0, 0, 0x0B, 0x1F)));
        Assert.Equal((0, 0x1Fu), Result(new Entry(0x0A, 0, 0, 0, 0x0B)));
        Assert.Equal((0, 1u), Result(new Entry(0x0A, 0, 0, 0, 6)));
        Assert.Equal(0x10E, guest.Command(new Entry(0x09, 0, 0, 0, 6)).Code);
        Assert.Equal(0x10D, guest.Command(new Entry(0x09, 0, 0, 0, 1 | 1u << 31, 1)).Code);
        Assert.All([0u, 3u, 0x0Cu, 0xFFu], id => Assert.Equal(0x02, guest.Command(new Entry(0x09, 0, 0, 0, id)).Code));
        Assert.Equal(0, guest.Command(new Entry(0x02, uint.MaxValue, Data, 0, 2 | 127 << 16)).Code);
        Assert.Equal((303, 100), (BitConverter.ToUInt16(guest.At(Data + 1, 2)), guest.At(Data + 3, 1)[0]));
        Assert.Equal(0x109, guest.Command(new Entry(0x02, 0, Data, 0, 0x7F | 127 << 16)).Code);
        Assert.Equal(0x02, guest.Command(new Entry(0x02, 0, Data, 0, 1 | 0xFFFFu << 16, 0xFFFF)).Code);
        Assert.Equal((0, 1u), Result(new Entry(0x08, 0, 0, 0, 1)));

        // Four requests wait for events that never come; the fifth is one too many.
        for (int i = 0; i < 4; i++)
        {
            guest.Submit(guest.Admin, new Entry(0x0C));
        }

        Assert.Equal(0x105, guest.Command(new Entry(0x0C)).Code);

        (int, uint) Result(Entry entry)
        {
            Completion done = guest.Command(entry);
            return (done.Code, done.Result);
        }
    }

    [Fact]
    public void Queues_come_and_go_with_the_drives_own()
    {
        using SharedDrive drive = new(guests: 2);
        using NvmeGuest guest = new NvmeGuest(drive.Place, at: 1).Enable();
        Assert.Empty(drive.Drive.Queues);
        for (int i = 0; i < 3; i++)
        {
            guest.CreateQueues();
            Assert.Equal([2], drive.Drive.Queues);
            Assert.Equal(0, guest.Do(Entry.Block(0x02, 0, 1, Data)).Status);
            Assert.Equal(0x10C, guest.Command(new Entry(0x04, 0, 0, 0, 1)).Code);
            Assert.Equal(0, guest.Command(new Entry(0x00, 0, 0, 0, 1)).Code);
            Assert.Equal(0, guest.Command(new Entry(0x04, 0, 0, 0, 1)).Code);
            Assert.Empty(drive.Drive.Queues);
        }
    }

    [Fact]
    public void A_queue_that_wraps_keeps_its_order_and_a_full_one_waits_for_its_guest()
    {
        using SharedDrive drive = new();
        using NvmeGuest guest = new NvmeGuest(drive.Place).Enable();
        guest.CreateQueues(entries: 16, completionEntries: 4);
        for (int i = 0; i < 50; i++)
        {
            Assert.Equal(0, guest.Do(Entry.Block(0x02, (ulong)i, 1, Data)).Status);
        }

        // Nobody takes completions: three fit, the others wait for room.
        List<ushort> ids = [];
        for (int i = 0; i < 9; i++)
        {
            ids.Add(guest.Submit(guest.Io, Entry.Block(0x02, (ulong)i, 1, Data)));
        }

        List<ushort> done = [];
        while (done.Count < ids.Count)
        {
            done.Add(guest.Await(guest.Io).Id);
        }

        Assert.Equal(ids, done);
        Assert.False(guest.TryTake(guest.Io, out _));
    }

    [Fact]
    public void A_guest_that_uses_the_buffer_of_doorbells_rings_only_when_it_is_asked_to()
    {
        using SharedDrive drive = new();
        using NvmeGuest guest = new NvmeGuest(drive.Place).Start(entries: 8);
        ulong doorbells = Data;
        ulong events = Data + Page;
        Assert.Equal(0, guest.Command(new Entry(0x7C, 0, doorbells, events)).Status);
        uint tail = 0;
        int rung = 0;
        for (int i = 0; i < 100; i++)
        {
            // As Linux does: doorbell, then the index.
            guest.Put(guest.Io, Entry.Block(0x02, (ulong)i, 1, Data + 2 * Page));
            uint before = tail;
            tail = (uint)guest.Io.Tail;
            guest.Ram.Write(doorbells - NvmeGuest.Base + 8, tail);
            Thread.MemoryBarrier();
            rung += Ring(8, tail, before) ? 1 : 0;
            uint head = (uint)guest.Io.Head;
            Completion done = default;
            Assert.True(SpinWait.SpinUntil(() => guest.TryTake(guest.Io, out done, acknowledge: false), 20_000));
            Assert.Equal(0, done.Status);
            guest.Ram.Write(doorbells - NvmeGuest.Base + 12, (uint)guest.Io.Head);
            Thread.MemoryBarrier();
            Assert.False(Ring(12, (uint)guest.Io.Head, head));
        }

        Assert.InRange(rung, 1, 100);

        bool Ring(uint offset, uint now, uint before)
        {
            uint index = guest.Ram.Read<uint>(events - NvmeGuest.Base + offset);
            bool asked = (ushort)(now - index - 1) < (ushort)(now - before);
            if (asked)
            {
                guest.Guest.Write(0, 0x1000 + offset, now);
            }

            return asked;
        }
    }

    // Pages far from each other, so that a wrong one shows.
    private static (Entry Entry, ulong[] Pages) Transfer(NvmeGuest guest, byte opcode, int block, int blocks, int offset)
    {
        int length = blocks * 512;
        ulong[] pages = [.. Enumerable.Range(0, (offset + length + Page - 1) / Page).Select(static i => Data + (ulong)((i * 3 + 1) * Page))];
        ulong second = pages.Length > 1 ? pages[1] : 0;
        if (pages.Length > 2)
        {
            second = NvmeGuest.Base + 0xE_0000;
            for (int i = 1; i < pages.Length; i++)
            {
                guest.WriteLong(second + (ulong)(8 * (i - 1)), pages[i]);
            }
        }

        return (Entry.Block(opcode, (ulong)block, blocks, pages[0] + (ulong)offset, second), pages);
    }

    private static void Scatter(NvmeGuest guest, ulong[] pages, int offset, byte[] data)
    {
        for (int i = 0; i < data.Length; i++)
        {
            guest.At(pages[(offset + i) / Page] + (ulong)((offset + i) % Page), 1)[0] = data[i];
        }
    }

    private static byte[] Gather(NvmeGuest guest, ulong[] pages, int offset, int length) =>
        [.. Enumerable.Range(offset, length).Select(i => guest.At(pages[i / Page] + (ulong)(i % Page), 1)[0])];

    internal static void Range(NvmeGuest guest, ulong address, params (ulong First, uint Count)[] ranges)
    {
        foreach ((ulong first, uint count) in ranges)
        {
            guest.WriteLong(address, (ulong)count << 32);
            guest.WriteLong(address + 8, first);
            address += 16;
        }
    }
}
