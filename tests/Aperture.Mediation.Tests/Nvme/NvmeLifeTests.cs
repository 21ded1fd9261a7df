using Aperture.Linux;
using Aperture.Memory;

namespace Aperture.Mediation.Tests.Nvme;

/// <summary>Guests that come, end in the middle, are reset, take memory away; drives that fail.</summary>
public class NvmeLifeTests
{
    private const ulong Data = NvmeGuest.Data;

    private static AddressRange Extra => new(new GuestAddress(0x8000_0000), 64 << 10);

    [Fact]
    public void Two_guests_use_one_drive_at_once_and_each_finds_its_own()
    {
        using SharedDrive drive = new(guests: 2);
        using NvmeGuest one = new NvmeGuest(drive.Place).Start();
        using NvmeGuest other = new NvmeGuest(drive.Place, at: 1).Start();
        Parallel.ForEach([(one, 0), (other, 1)], pair =>
        {
            (NvmeGuest guest, int number) = pair;
            Random random = new(number);
            byte[] expected = new byte[256 * 512];
            for (int i = 0; i < 400; i++)
            {
                int block = random.Next(256);
                random.NextBytes(expected.AsSpan(block * 512, 512));
                expected.AsSpan(block * 512, 512).CopyTo(guest.At(Data, 512));
                Assert.Equal(0, guest.Do(Entry.Block(0x01, (ulong)block, 1, Data)).Status);
                int back = random.Next(256);
                Assert.Equal(0, guest.Do(Entry.Block(0x02, (ulong)back, 1, Data + 512)).Status);
                Assert.Equal(expected.AsSpan(back * 512, 512).ToArray(), guest.At(Data + 512, 512).ToArray());
            }

            Assert.Equal(expected, drive.Block(number, 0, 256).ToArray());
        });
        Assert.Equal(-1, drive.Drive.Blocks.AsSpan(0, 64 * 512).IndexOfAnyExcept((byte)0));
        Assert.Empty(drive.Place.Reports.Notices);
    }

    [Fact]
    public void A_guest_that_ends_in_the_middle_takes_its_queue_along_and_the_next_finds_its_blocks()
    {
        using SharedDrive drive = new(guests: 2);
        using NvmeGuest other = new NvmeGuest(drive.Place, at: 1).Start();
        int mappings = drive.Iommu.Count;
        using (NvmeGuest guest = new NvmeGuest(drive.Place).Start())
        {
            guest.At(Data, 512).Fill(0x42);
            Assert.Equal(0, guest.Do(Entry.Block(0x01, 7, 1, Data)).Status);
            drive.Drive.Holds = true;
            for (int i = 0; i < 20; i++)
            {
                guest.Submit(guest.Io, Entry.Block(0x02, 0, 1, Data));
            }

            Assert.True(SpinWait.SpinUntil(() => drive.Drive.HeldCount == 20, 20_000));
        }

        drive.Place.Reports.Await("mediation.ended");
        Assert.Equal((0, mappings), (drive.Drive.HeldCount, drive.Iommu.Count));
        Assert.Equal([2], drive.Drive.Queues);
        drive.Drive.Holds = false;
        Assert.Equal(0, other.Do(Entry.Block(0x02, 0, 1, Data)).Status);
        using NvmeGuest next = new NvmeGuest(drive.Place).Start();
        Assert.Equal(0, next.Do(Entry.Block(0x02, 7, 1, Data)).Status);
        Assert.Equal(-1, next.At(Data, 512).IndexOfAnyExcept((byte)0x42));
        Assert.Empty(drive.Place.Reports.Notices);
    }

    [Theory]
    [InlineData("controller")]
    [InlineData("function")]
    [InlineData("bus master")]
    public void A_guest_that_resets_or_forbids_DMA_in_the_middle_gets_nothing_more_into_its_memory(string how)
    {
        using SharedDrive drive = new(guests: 2, static d => d.Holds = true);
        using NvmeGuest guest = new NvmeGuest(drive.Place).Start();
        drive.Block(0, 0).Fill(0x99);
        guest.Submit(guest.Io, Entry.Block(0x02, 0, 1, Data));
        Assert.True(SpinWait.SpinUntil(() => drive.Drive.HeldCount == 1, 20_000));
        switch (how)
        {
            case "controller":
                guest.Guest.Write(0, 0x14, 0);
                break;
            case "function":
                Assert.Equal(0, guest.Guest.Device.Reset());
                break;
            default:
                Assert.Equal(0, guest.Guest.Device.Write(7, 4, [0x02, 0x00]));
                break;
        }

        Assert.Equal(how == "bus master" ? 1u : 0, guest.Status);
        Assert.Empty(drive.Drive.Queues);
        drive.Drive.Release();
        Assert.Equal(0, guest.At(Data, 1)[0]);
        Assert.False(guest.TryTake(guest.Io, out _));

        drive.Drive.Holds = false;
        guest.Guest.EnableBusMaster();
        if (how == "bus master")
        {
            // Its queues are still there; what was aborted is told.
            Assert.Equal(0x08, guest.Await(guest.Io).Code);
        }
        else
        {
            guest.Start();
        }

        Assert.Equal(0, guest.Do(Entry.Block(0x02, 0, 1, Data)).Status);
        Assert.Equal(0x99, guest.At(Data, 1)[0]);
        Assert.Empty(drive.Place.Reports.Notices);
    }

    [Fact]
    public void Memory_that_is_taken_back_waits_for_its_commands_and_is_out_of_reach_then()
    {
        using SharedDrive drive = new(prepare: static d => d.Holds = true);
        using NvmeGuest guest = new NvmeGuest(drive.Place).Start();
        Assert.NotEqual(0, guest.Guest.Device.Iommu.Unmap(Extra));
        int before = drive.Iommu.Count;
        Assert.Equal(0, guest.Guest.Device.Iommu.Map(Extra, guest.Ram.HostAddress, true));
        Assert.True(SpinWait.SpinUntil(() => drive.Iommu.Count == before + 1, 20_000));
        guest.Submit(guest.Io, Entry.Block(0x02, 0, 1, Extra.Start.Value + 0x8000));
        Assert.True(SpinWait.SpinUntil(() => drive.Drive.HeldCount == 1, 20_000));
        drive.Block(0, 0).Fill(0x21);
        int errno = -1;
        Thread takes = new(() => errno = guest.Guest.Device.Iommu.Unmap(Extra));
        takes.Start();
        Assert.Equal(before + 1, drive.Iommu.Count);
        drive.Drive.Release();
        takes.Join();
        Assert.Equal((0, before), (errno, drive.Iommu.Count));
        Assert.Equal(0x21, guest.Ram.Read<byte>(0x8000));
        drive.Drive.Holds = false;
        Assert.Equal(0, guest.Await(guest.Io).Status);
        Assert.Equal(0x04, guest.Do(Entry.Block(0x02, 0, 1, Extra.Start.Value + 0x8000)).Code);
    }

    [Fact]
    public void Memory_that_is_taken_back_under_a_command_that_does_not_end_aborts_it()
    {
        using SharedDrive drive = new(prepare: static d => d.Holds = true);
        using NvmeGuest guest = new NvmeGuest(drive.Place).Start();
        Assert.Equal(0, guest.Guest.Device.Iommu.Map(Extra, guest.Ram.HostAddress, true));
        guest.Submit(guest.Io, Entry.Block(0x02, 0, 1, Extra.Start.Value));
        Assert.True(SpinWait.SpinUntil(() => drive.Drive.HeldCount == 1, 20_000));
        Assert.Equal(0, guest.Guest.Device.Iommu.Unmap(Extra));
        Assert.Equal(0, drive.Drive.HeldCount);
        Assert.Equal(0x08, guest.Await(guest.Io).Code);
        drive.Drive.Holds = false;
        Assert.Equal(0, guest.Do(Entry.Block(0x02, 0, 1, Data)).Status);
    }

    [Fact]
    public void Memory_that_can_only_be_read_is_not_written_by_the_drive()
    {
        using SharedDrive drive = new();
        using NvmeGuest guest = new NvmeGuest(drive.Place).Start();
        Assert.Equal(0, guest.Guest.Device.Iommu.Map(Extra, guest.Ram.HostAddress, false));
        Assert.Equal(0, guest.Do(Entry.Block(0x01, 0, 1, Extra.Start.Value)).Code);
        Assert.Equal(0x04, guest.Do(Entry.Block(0x02, 0, 1, Extra.Start.Value)).Code);
    }

    [Fact]
    public void A_guest_whose_memory_has_no_descriptor_is_refused_in_a_sentence()
    {
        using SharedDrive drive = new();
        using TestGuest guest = drive.Place.Connect();
        using RamBlock ram = RamBlock.Create("private", 1 << 20);
        Assert.Equal(0, guest.Device.Iommu.Map(NvmeGuest.Range, ram.HostAddress, true));
        guest.EnableBusMaster();
        guest.Write(0, 0x24, 15 | 15 << 16);
        guest.Write(0, 0x28, (uint)NvmeGuest.Base);
        guest.Write(0, 0x30, (uint)NvmeGuest.Base + 0x1000);
        guest.Write(0, 0x14, 0x0046_0001);
        drive.Place.Reports.Await("vfio-user.ended");
        Assert.Contains(drive.Place.Reports.Notices, static n => n.Contains("gave its guest's memory without a descriptor", StringComparison.Ordinal));
    }

    [Fact]
    public void Memory_that_cannot_be_mapped_for_the_drive_ends_that_guest_with_the_reason()
    {
        using SharedDrive drive = new(guests: 2);
        using NvmeGuest other = new NvmeGuest(drive.Place, at: 1).Start();
        drive.Iommu.Refusal = Errno.ENOMEM;
        using NvmeGuest guest = new(drive.Place, maps: false);
        Assert.Equal(0, guest.Guest.Device.Iommu.Map(NvmeGuest.Range, guest.Ram.HostAddress, true));
        Assert.True(SpinWait.SpinUntil(() => guest.Guest.Device.Read(0, 0x1C, new byte[4]) != 0, 20_000));
        drive.Place.Reports.Await("vfio-user.ended");
        Assert.Contains(drive.Place.Reports.Notices, static n => n.Contains("cannot be mapped for the drive: ENOMEM", StringComparison.Ordinal));
        drive.Iommu.Refusal = 0;
        Assert.Equal(0, other.Do(Entry.Block(0x02, 0, 1, Data)).Status);
    }

    [Fact]
    public void A_monitor_need_not_wait_while_its_memory_is_mapped_and_its_guest_s_commands_do()
    {
        using SharedDrive drive = new(guests: 2);
        using NvmeGuest other = new NvmeGuest(drive.Place, at: 1).Start();
        using ManualResetEventSlim slow = new();
        drive.Iommu.Slow = slow;
        using NvmeGuest guest = new NvmeGuest(drive.Place).Enable();
        Assert.Equal(1u, guest.Status);
        guest.Submit(guest.Admin, new Entry(0x06, 0, Data, 0, 1));
        Assert.False(guest.TryTake(guest.Admin, out _));
        Assert.Equal(0, other.Do(Entry.Block(0x02, 0, 1, Data)).Status);

        // Taken back before it is there: after it, that is.
        Thread takes = new(() => Assert.Equal(0, guest.Guest.Device.Iommu.Unmap(NvmeGuest.Range)));
        takes.Start();
        slow.Set();
        takes.Join();
        Assert.Equal(0, guest.Guest.Device.Iommu.Map(NvmeGuest.Range, guest.Ram.HostAddress, true));
        guest.Start();
        Assert.Equal(0, guest.Do(Entry.Block(0x02, 0, 1, Data)).Status);
    }

    [Fact]
    public void Guests_that_overlap_by_their_own_addresses_are_apart_by_the_drives()
    {
        using SharedDrive drive = new(guests: 3);
        NvmeGuest[] guests = [.. Enumerable.Range(0, 3).Select(i => new NvmeGuest(drive.Place, i).Start())];
        for (int i = 0; i < guests.Length; i++)
        {
            guests[i].At(Data, 512).Fill((byte)(0x10 + i));
            Assert.Equal(0, guests[i].Do(Entry.Block(0x01, 0, 1, Data)).Status);
        }

        Assert.Equal([0x10, 0x11, 0x12], Enumerable.Range(0, 3).Select(i => (int)drive.Block(i, 0)[511]));
        Array.ForEach(guests, static g => g.Dispose());
    }

    [Fact]
    public void A_drive_that_says_that_it_is_broken_fails_its_guests_controllers_and_reaches_nothing()
    {
        using SharedDrive drive = new(guests: 2, static d => d.Holds = true);
        using NvmeGuest guest = new NvmeGuest(drive.Place).Start();
        using NvmeGuest other = new NvmeGuest(drive.Place, at: 1).Start();
        guest.Submit(guest.Io, Entry.Block(0x02, 0, 1, Data));
        Assert.True(SpinWait.SpinUntil(() => drive.Drive.HeldCount == 1, 20_000));
        drive.Drive.IsBroken = true;
        drive.Reports.Await("nvme.dead");
        Assert.False(drive.Drive.IsBusMaster);
        Assert.Equal((3u, 3u), (guest.Status, other.Status));
        guest.Dispose();
        drive.Place.Reports.Await("mediation.ended");
        Assert.Throws<ApertureException>(() => drive.Place.Connect());
        drive.Place.Reports.Await("vfio-user.ended");
        Assert.Contains(drive.Place.Reports.Notices, static n => n.Contains("failed; start the mediator anew", StringComparison.Ordinal));
    }

    [Fact]
    public void The_daemon_shuts_the_drive_down_when_it_ends()
    {
        SharedDrive drive = new();
        using NvmeGuest guest = new NvmeGuest(drive.Place).Start();
        Assert.Equal((1, false), (drive.Drive.Resets, drive.Drive.WasShutDown));
        drive.Dispose();
        Assert.True(drive.Drive.WasShutDown);
    }

    [Theory]
    [InlineData("no namespace 2", 2u, 0, null)]
    [InlineData("share less|make more; give less", 1u, 0, "1M/1M")]
    [InlineData("multiples of that", 1u, 0, "1000")]
    [InlineData("multiples of that", 1u, 100, "64K")]
    [InlineData("make more; give less", 1u, 1 << 20, "64K")]
    public void Shares_that_the_drive_has_not_are_refused_and_the_drive_is_given_back(string why, uint space, int start, string? shares)
    {
        SoftwareIommu iommu = new();
        SoftwareDrive drive = new(iommu, 512);
        SharedDrive.Released owner = new();
        string message = Assert.Throws<ApertureException>(() => Mediators.MediatorKinds.Make(
            $"nvme,vfio=x,shares={shares ?? "64K"},start={start},nsid={space}",
            _ => new HostFunction(drive, iommu, owner),
            new Reports())).Message;
        Assert.Contains(why.Split('|'), word => message.Contains(word, StringComparison.Ordinal));
        Assert.True(drive.IsDisposed && owner.IsDisposed && !drive.IsBusMaster);
        Assert.Equal(0, iommu.Count);
    }

    [Fact]
    public void Drives_that_cannot_be_shared_are_refused_and_given_back()
    {
        SoftwareIommu iommu = new();
        (SoftwareDrive Drive, string Why)[] drives =
        [
            (new SoftwareDrive(iommu, 512) { Format = 9 << 16 | 8 }, "metadata"),
            (new SoftwareDrive(iommu, 512) { Format = 16 << 16 }, "blocks of 2^16"),
            (new SoftwareDrive(iommu, 512, vectors: 2), "3 MSI-X vectors"),
            (new SoftwareDrive(iommu, 512) { QueuesGiven = 1 }, "2 queue pairs"),
            (new SoftwareDrive(iommu, 512) { Capabilities = 0xFF | 1UL << 37 | 1UL << 48 }, "pages of 4 KiB"),
            (new SoftwareDrive(iommu, 512) { Capabilities = 0xFF }, "no NVMe controller"),
            (new SoftwareDrive(iommu, 512) { Capabilities = 0xFF | 1UL << 37 | 11UL << 32 }, "doorbells"),
        ];
        foreach ((SoftwareDrive drive, string why) in drives)
        {
            SharedDrive.Released owner = new();
            string message = Assert.Throws<ApertureException>(() => new Mediation.Nvme.NvmeMediator(
                new HostFunction(drive, iommu, owner), [64 << 10, 64 << 10], 0, 1, new Reports())).Message;
            Assert.Contains(why, message, StringComparison.Ordinal);
            Assert.True(drive.IsDisposed && owner.IsDisposed && !drive.IsBusMaster, message);
            Assert.Equal(0, iommu.Count);
        }
    }

    [Fact]
    public void A_socket_more_than_there_are_shares_is_refused()
    {
        using SharedDrive drive = new();
        using TemporaryFolder folder = new();
        string message = Assert.Throws<ApertureException>(() => drive.Place.Host.Listen(folder.In("more.sock"))).Message;
        Assert.Contains("is shared among 1 guests", message, StringComparison.Ordinal);
    }
}
