using Aperture.Kvm.X86;
using Aperture.Linux;
using Aperture.Linux.Kvm;

namespace Aperture.Kvm.Tests;

public class MsiRoutesTests
{
    private readonly List<KvmIrqRoutingEntry[]> _applied = [];

    private MsiRoutes Make(int capacity = 4096) => new(PcInputs.Instance, capacity, table => _applied.Add(table.ToArray()));

    private static MsiMessage Message(uint data) => new(new GuestAddress(0x1_FEE0_1000), data);

    [Fact]
    public void Every_table_has_the_pins_of_the_controllers_with_the_timer_on_pin_2()
    {
        Make().ApplyNow();
        KvmIrqRoutingEntry[] table = Assert.Single(_applied);
        Assert.Equal(15, table.Count(entry => entry is { Type: 1, Irqchip: < 2 }));
        Assert.Equal(2u, Assert.Single(table, entry => entry is { Gsi: 0, Irqchip: 2 }).Pin);
        Assert.DoesNotContain(table, entry => entry.Gsi == 2);
        Assert.All(table.Where(entry => entry is { Irqchip: 2, Gsi: > 2 }), entry => Assert.Equal(entry.Gsi, entry.Pin));
        Assert.Equal(23, table.Count(entry => entry.Irqchip == 2));
        Assert.Equal((1u, 3u), Assert.Single(table.Where(entry => entry is { Gsi: 11, Irqchip: 1 }).Select(entry => (entry.Irqchip, entry.Pin))));
    }

    [Fact]
    public void A_message_is_routed_with_its_whole_address_and_taken_out_again()
    {
        MsiRoutes routes = Make();
        uint gsi = routes.Allocate();
        Assert.Equal(24u, gsi);
        Assert.Empty(_applied);
        routes.Set(gsi, Message(0x41));
        KvmIrqRoutingEntry entry = Assert.Single(_applied[^1], entry => entry.Type == 2);
        Assert.Equal((24u, 0xFEE0_1000u, 1u, 0x41u), (entry.Gsi, entry.MsiAddressLow, entry.MsiAddressHigh, entry.MsiData));
        routes.Set(gsi, Message(0x41));
        Assert.Single(_applied);
        routes.Set(gsi, null);
        Assert.DoesNotContain(_applied[^1], entry => entry.Type == 2);
    }

    [Fact]
    public void Freed_numbers_are_given_out_again_lowest_first()
    {
        MsiRoutes routes = Make();
        Assert.Equal([24u, 25u, 26u], [routes.Allocate(), routes.Allocate(), routes.Allocate()]);
        routes.Free(25);
        Assert.Equal([25u, 27u], [routes.Allocate(), routes.Allocate()]);
        Assert.Throws<ArgumentOutOfRangeException>(() => routes.Free(99));
        Assert.Throws<ArgumentOutOfRangeException>(() => routes.Set(99, null));
    }

    [Fact]
    public void A_batch_tells_KVM_once_and_only_of_a_change()
    {
        MsiRoutes routes = Make();
        uint[] numbers = [.. Enumerable.Range(0, 5).Select(_ => routes.Allocate())];
        using (routes.BeginBatch())
        {
            using (routes.BeginBatch())
            {
                Array.ForEach(numbers, gsi => routes.Set(gsi, Message(gsi)));
            }

            Assert.Empty(_applied);
        }

        Assert.Equal(5, Assert.Single(_applied).Count(entry => entry.Type == 2));
        routes.BeginBatch().Dispose();
        Assert.Single(_applied);
    }

    [Fact]
    public void A_wire_is_the_last_number_at_its_pin_and_at_the_PICs_input_that_it_reaches_too()
    {
        MsiRoutes routes = Make();
        Assert.Equal(24u, routes.JoinWire(17, null));
        Assert.Equal(24u, At(2, 17));
        Assert.DoesNotContain(_applied[^1], entry => entry is { Gsi: 24, Irqchip: < 2 });
        Assert.Equal(24u, routes.JoinWire(17, 10));
        Assert.Equal(24u, At(1, 2));
        Assert.Equal(2, _applied.Count);
        Assert.Null(routes.JoinWire(18, 10));
        Assert.Equal(25u, routes.JoinWire(18, 5));
        Assert.Equal(25u, At(0, 5));

        // The register moves the wire: those that use it follow one after the other.
        routes.LeaveWire(17);
        Assert.Equal(24u, routes.JoinWire(17, 11));
        Assert.Equal((24u, 10u), (At(1, 3), At(1, 2)));
        Assert.Equal(25u, routes.JoinWire(18, 10));
        Assert.Equal((25u, 5u), (At(1, 2), At(0, 5)));
        routes.LeaveWire(17);
        routes.LeaveWire(17);
        Assert.Equal((17u, 11u), (At(2, 17), At(1, 3)));
        Assert.Equal(24u, routes.JoinWire(19, 11));
        Assert.All((uint[])[2, 16, 99], isa => Assert.Null(routes.JoinWire(20, isa)));
        Assert.Throws<ArgumentOutOfRangeException>(() => routes.LeaveWire(17));

        uint At(uint chip, uint pin) => _applied[^1].Last(entry => entry.Type == 1 && entry.Irqchip == chip && entry.Pin == pin).Gsi;
    }

    [Fact]
    public void A_table_that_KVM_refuses_leaves_no_wire_behind()
    {
        bool refuses = true;
        MsiRoutes routes = new(PcInputs.Instance, 4096, _ =>
        {
            if (refuses)
            {
                throw new LinuxException("refused", Errno.EINVAL);
            }
        });
        Assert.Null(routes.JoinWire(17, 10));
        refuses = false;
        Assert.Equal(24u, routes.JoinWire(18, 10));
        Assert.Equal(25u, routes.JoinWire(17, null));
    }

    [Fact]
    public void When_all_numbers_are_taken_one_sentence_says_so()
    {
        MsiRoutes routes = Make(capacity: 40);
        for (int taken = 0; taken < routes.Capacity; taken++)
        {
            routes.Allocate();
        }

        ApertureException failure = Assert.Throws<ApertureException>(() => routes.Allocate());
        Assert.Equal("all 2 message interrupt routes of this VM are taken; give devices fewer MSI-X vectors.", failure.Message);
    }
}
