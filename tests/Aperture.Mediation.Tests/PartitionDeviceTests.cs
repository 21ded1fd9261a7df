using Aperture.Linux;
using Aperture.Mediation.Mediators;

namespace Aperture.Mediation.Tests;

/// <summary>The partition mediator over a BAR of a device of the host.</summary>
public class PartitionDeviceTests
{
    private const ulong Page = GrantBook.Page;
    private const int Window = PartitionMediator.WindowBar;

    [Fact]
    public void Guests_divide_the_memory_of_the_device_and_it_is_cleared_between_them()
    {
        BarDevice device = new();
        for (ulong at = 0; at < BarDevice.Size; at += 4)
        {
            device.Memory.Write(Page + at, 0xDEAD_BEEFu);
        }

        PartitionMediator mediator = PartitionMediator.Over(device.Function, 2, window: 64 * Page);
        Assert.Equal(2, device.Config[4] & 2);
        using (Place place = new(mediator, guests: 2))
        {
            using TestGuest one = place.Connect(0);
            using TestGuest other = place.Connect(1);
            Assert.Equal(16u, one.Read(0, PartitionRegisters.AllPages));
            one.Ring(PartitionCommand.Claim, 0, 16);
            other.Ring(PartitionCommand.Claim, 0, 64);
            Assert.All(one.ReadMany(Window, 0, (int)BarDevice.Size), static b => Assert.Equal(0, b));
            one.Write(Window, (3 * Page) + 8, 42);
            Assert.Equal(42u, one.Read(Window, (3 * Page) + 8));
            Assert.Contains(42u, Enumerable.Range(0, 16).Select(i => device[((ulong)i * Page) + 8]));

            // Whatever page the other gets was the first one's.
            for (ulong page = 0; page < 16; page++)
            {
                Assert.Equal(0u, other.Read(Window, (page * Page) + 8));
            }

            Assert.Equal(16u, one.Read(0, PartitionRegisters.TakenPages));
            Assert.Equal(0, device.Disposals);
        }

        Assert.Equal((1, 1), (device.Disposals, device.OwnerDisposals));
    }

    [Fact]
    public void A_client_maps_the_device_where_it_is_trusted_with_all_of_it_and_asks_by_messages_otherwise()
    {
        BarDevice trusting = new();
        using (Place place = new(PartitionMediator.Over(trusting.Function, 2, trust: true)))
        {
            using MappedGuest guest = new(place);
            guest.Registers.Ring(PartitionCommand.Claim, 0, 16);
            guest.Write(Window, 8, 42);
            Assert.Equal((42u, 1, 1), (guest.Read(Window, 8), guest.Faults, guest.Mapped));
            Assert.Contains(42u, Enumerable.Range(0, 16).Select(i => trusting[((ulong)i * Page) + 8]));
        }

        BarDevice careful = new();
        using (Place place = new(PartitionMediator.Over(careful.Function, 2)))
        {
            using MappedGuest guest = new(place);
            Assert.Empty(guest.Device.FaultingAreas(Window));
            guest.Registers.Ring(PartitionCommand.Claim, 0, 16);
            guest.Write(Window, 8, 43);
            Assert.Equal((43u, 0), (guest.Read(Window, 8), guest.Mapped));
        }
    }

    [Fact]
    public void Memory_that_no_descriptor_stands_for_is_reached_by_messages_also_by_a_client_that_maps()
    {
        using BarDevice device = new() { CanBeShared = false };
        FakeMediator mediator = new();
        mediator.Description = mediator.Description with { TrustsClient = true };
        mediator.OnFault = (_, _) => FaultAnswer.Give(new Grant(2, 0, 15 * Page, new RegionSource(device, 2), 0, GrantProtection.ReadWrite));
        using Place place = new(mediator);
        using MappedGuest guest = new(place);
        guest.Write(2, 8, 42);
        Assert.Equal((42u, 0), (guest.Read(2, 8), guest.Mapped));
        Assert.Equal(42u, device[8]);
    }

    [Fact]
    public void A_device_that_is_lost_ends_the_sessions_that_touch_it_with_a_sentence()
    {
        BarDevice device = new();
        using Place place = new(PartitionMediator.Over(device.Function, 2), guests: 2);
        using TestGuest one = place.Connect(0);
        using TestGuest other = place.Connect(1);
        one.Ring(PartitionCommand.Claim, 0, 16);
        other.Ring(PartitionCommand.Claim, 0, 16);
        one.Write(Window, 0, 42);
        Assert.Equal(42u, one.Read(Window, 0));
        device.Lost = Errno.EIO;
        Assert.NotEqual(0, one.Device.Read(Window, 0, new byte[4]));
        place.Reports.Await("vfio-user.ended", 1);
        Assert.Contains(place.Reports.Notices, static n => n.Contains("region 2 of 0000:01:00.0 is lost (EIO)", StringComparison.Ordinal)
            && n.Contains("0.sock", StringComparison.Ordinal));

        // Registers are the mediator's, so the other notices when it touches the memory.
        Assert.Equal(16u, other.Read(0, PartitionRegisters.FreePages));
        Assert.NotEqual(0, other.Device.Read(Window, 0, new byte[4]));
        place.Reports.Await("vfio-user.ended", 2);

        // It comes back: nothing was lost of the books.
        device.Lost = 0;
        using TestGuest next = place.Connect(0);
        next.Ring(PartitionCommand.Claim, 0, 16);
        Assert.All(next.ReadMany(Window, 0, (int)BarDevice.Size), static b => Assert.Equal(0, b));
        Assert.Equal(16, place.Host.Ledger.Count);
    }

    [Fact]
    public void A_page_that_cannot_be_cleared_goes_to_nobody_and_stays_in_the_books()
    {
        BarDevice device = new();
        PartitionMediator mediator = PartitionMediator.Over(device.Function, 2);
        using Place place = new(mediator, guests: 2);
        using TestGuest one = place.Connect(0);
        one.Ring(PartitionCommand.Claim, 0, 16);
        Assert.Equal(64 << 10, one.ReadMany(Window, 0, (int)BarDevice.Size).Length);
        one.Write(Window, 0, 42);
        Assert.Equal(42u, one.Read(Window, 0));
        device.WriteErrno = Errno.EIO;
        using TestGuest other = place.Connect(1);
        other.Ring(PartitionCommand.Claim, 0, 1);
        Assert.NotEqual(0, other.Device.Read(Window, 0, new byte[4]));
        place.Reports.Await("vfio-user.ended");
        Assert.Equal((1, 15), (mediator.Free, place.Host.Ledger.Count));
        device.WriteErrno = 0;
        using TestGuest next = place.Connect(1);
        next.Ring(PartitionCommand.Claim, 0, 1);
        Assert.Equal(0u, next.Read(Window, 0));
    }

    [Theory]
    [InlineData(3, false, true, 0, "has no memory in bar3")]
    [InlineData(7, false, true, 0, "has no memory in")]
    [InlineData(2, true, false, 0, "bar2 of 0000:01:00.0 cannot be mapped whole, so trust=on means nothing")]
    [InlineData(2, false, true, Errno.EIO, "0000:01:00.0 does not answer: EIO")]
    public void A_function_that_cannot_be_divided_is_told_in_a_sentence_and_given_back(int bar, bool trust, bool shared, int errno, string why)
    {
        BarDevice device = new() { CanBeShared = shared, Lost = errno };
        string told = Assert.Throws<ApertureException>(() => PartitionMediator.Over(device.Function, bar, trust: trust)).Message;
        Assert.Contains(why, told, StringComparison.Ordinal);
        Assert.Equal((1, 1), (device.Disposals, device.OwnerDisposals));
    }

    [Fact]
    public void Numbers_that_do_not_fit_its_bar_are_refused_and_the_function_given_back()
    {
        BarDevice device = new();
        Assert.Throws<ApertureException>(() => PartitionMediator.Over(device.Function, 2, page: 1 << 20));
        Assert.Equal((1, 1), (device.Disposals, device.OwnerDisposals));
    }

    [Fact]
    public void It_is_asked_for_by_the_functions_address_and_a_bar()
    {
        BarDevice device = new();
        string? asked = null;
        using (IMediator mediator = MediatorKinds.Make("partition,vfio=0000:01:00.0,bar=2,page=4K,window=1M,trust=on", text =>
        {
            asked = text;
            return device.Function;
        }))
        {
            Assert.Equal(("partition", "0000:01:00.0"), (mediator.Name, asked));
        }

        Assert.Equal(1, device.OwnerDisposals);
    }

    [Theory]
    [InlineData("partition,vfio=0000:01:00.0", "needs bar=")]
    [InlineData("partition,vfio=0000:01:00.0,bar=6", "is not a number from 0 to 5")]
    [InlineData("partition,vfio=0000:01:00.0,bar=2,size=1M", "divides all of a BAR")]
    [InlineData("partition,bar=2,size=1M", "give vfio= too")]
    [InlineData("partition,vfio=0000:01:00.0,bar=2", "opens no functions of the host")]
    public void What_cannot_be_asked_for_is_told_in_a_sentence(string text, string why) =>
        Assert.Contains(why, Assert.Throws<ApertureException>(() => MediatorKinds.Make(text)).Message, StringComparison.Ordinal);
}
