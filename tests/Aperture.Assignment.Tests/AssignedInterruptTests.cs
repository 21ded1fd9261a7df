using Aperture.Linux;
using Aperture.Pci.Capabilities;
using Aperture.Pci.Registers;
using Aperture.TestKit.Parts.Assigned;

namespace Aperture.Assignment.Tests;

/// <summary>MSI-X and MSI of an assigned function.</summary>
public class AssignedInterruptTests
{
    private static Bench Started(bool canGrow = false, int vectors = 8, FakeGuest? guest = null)
    {
        Bench bench = new(SampleConfig.Nvme(vectors, canGrow), guest: guest);
        bench.Enable();
        return bench;
    }

    [Fact]
    public void A_route_says_which_function_sends_its_message()
    {
        using Bench bench = Started();
        bench.Program(0, masked: false);
        bench.SetMsix(true);
        Assert.Equal(bench.Function.Bdf, Assert.Single(bench.Guest.Requesters));
        Assert.NotEqual(default, bench.Function.Bdf);
    }

    [Fact]
    public void An_unmasked_vector_is_connected_to_its_message_and_a_masked_one_is_not()
    {
        using Bench bench = Started();
        bench.Program(0, masked: false);
        bench.Program(1, masked: true);
        Assert.Empty(bench.Guest.Connected);
        bench.SetMsix(true);
        Assert.Equal([Bench.MessageOf(0)], bench.Guest.Connected);
        Assert.True(bench.Device.Raise(VfioIrqIndex.Msix, 0));
        Assert.Equal([Bench.MessageOf(0)], bench.Guest.Delivered);
        Assert.Empty(bench.Sink.Sent);
    }

    [Fact]
    public void Without_bus_mastering_nothing_is_connected()
    {
        using Bench bench = Started();
        bench.Program(0, masked: false);
        bench.SetMsix(true);
        bench.Enable(PciCommand.MemorySpace);
        Assert.Empty(bench.Guest.Connected);
        bench.Enable();
        Assert.Single(bench.Guest.Connected);
    }

    [Fact]
    public void The_function_mask_disconnects_every_vector()
    {
        using Bench bench = Started();
        bench.Program(0, masked: false);
        bench.Program(1, masked: false);
        bench.SetMsix(true);
        bench.SetMsix(true, functionMasked: true);
        Assert.Empty(bench.Guest.Connected);
        bench.SetMsix(true);
        Assert.Equal(2, bench.Guest.Connected.Count);
    }

    [Fact]
    public void A_new_message_changes_the_route_and_keeps_it()
    {
        using Bench bench = Started();
        bench.Program(0, masked: false);
        bench.SetMsix(true);
        bench.Function.Find<MsixCapability>()!.Table.Write(8, 4, 0x99);
        Assert.Equal(1, bench.Guest.Changes);
        Assert.Equal(0x99u, Assert.Single(bench.Guest.Connected).Data);
    }

    [Fact]
    public void What_is_raised_while_masked_is_pending_and_delivered_once_after_unmasking()
    {
        using Bench bench = Started();
        MsixCapability msix = bench.Function.Find<MsixCapability>()!;
        bench.Program(2, masked: false);
        bench.SetMsix(true);
        bench.Program(2, masked: true);
        Assert.True(bench.Device.Raise(VfioIrqIndex.Msix, 2));
        Assert.True(bench.Device.Raise(VfioIrqIndex.Msix, 2));
        msix.PendingBits.Read(0, 8, out ulong pending);
        Assert.Equal(1ul << 2, pending);
        bench.Program(2, masked: false);
        Assert.Equal([Bench.MessageOf(2)], bench.Sink.Sent);
        msix.PendingBits.Read(0, 8, out pending);
        Assert.Equal(0ul, pending);
        bench.Program(2, masked: true);
        msix.PendingBits.Read(0, 8, out pending);
        Assert.Equal(0ul, pending);
        Assert.Empty(bench.Guest.Delivered);
    }

    [Fact]
    public void What_is_raised_just_before_the_route_comes_is_delivered_with_it_and_not_again()
    {
        using Bench bench = Started();
        bench.Program(0, masked: false);
        bench.SetMsix(true);
        bench.Program(0, masked: true);
        bench.Guest.Connecting = () => bench.Device.Raise(VfioIrqIndex.Msix, 0);
        bench.Program(0, masked: false);
        bench.Guest.Connecting = null;
        Assert.Single(bench.Guest.Delivered);
        bench.Program(0, masked: true);
        bench.Program(0, masked: false);
        Assert.Single(bench.Guest.Delivered);
        Assert.Empty(bench.Sink.Sent);
    }

    [Fact]
    public void A_host_that_cannot_grow_gets_every_vector_at_once_and_is_never_disabled_for_more()
    {
        using Bench bench = Started();
        bench.Program(1, masked: false);
        bench.SetMsix(true);
        bench.Program(5, masked: false);
        Assert.Equal(["triggers 2 0+8", "triggers 2 5+1"], bench.Log.Where(s => s.StartsWith("triggers 2", StringComparison.Ordinal)));
        Assert.Equal([1, 5], bench.Device.Enabled(VfioIrqIndex.Msix));
    }

    [Fact]
    public void When_not_all_vectors_fit_the_needed_ones_are_enabled_again_together()
    {
        using Bench bench = Started();
        bench.Device.TriggerErrno = (_, _, count) => count == 8 ? Errno.ENOSPC : 0;
        bench.Program(1, masked: false);
        bench.SetMsix(true);
        bench.Program(4, masked: false);
        Assert.Equal([1, 4], bench.Device.Enabled(VfioIrqIndex.Msix));
        bench.Device.Raise(VfioIrqIndex.Msix, 1);
        bench.Device.Raise(VfioIrqIndex.Msix, 4);
        Assert.Equal([Bench.MessageOf(1), Bench.MessageOf(4)], bench.Guest.Delivered);
        Assert.Contains("triggers 2 0+5", bench.Log);
    }

    [Fact]
    public void A_growth_that_the_host_refuses_leaves_the_vectors_that_worked()
    {
        using Bench bench = Started();
        bench.Device.TriggerErrno = (_, first, count) => first + count > 3 ? Errno.ENOSPC : 0;
        bench.Program(1, masked: false);
        bench.Program(2, masked: false);
        bench.SetMsix(true);
        bench.Program(5, masked: false);
        Assert.Equal([1, 2], bench.Device.Enabled(VfioIrqIndex.Msix));
        Assert.True(bench.Device.Raise(VfioIrqIndex.Msix, 1));
        Assert.True(bench.Device.Raise(VfioIrqIndex.Msix, 2));
        Assert.Equal([Bench.MessageOf(1), Bench.MessageOf(2)], bench.Guest.Delivered);
        Assert.Single(bench.Events.Seen, "interrupts 2 failed 28");

        // The vectors that work are not disabled again for one that does not fit, until the guest begins anew.
        bench.Log.Clear();
        bench.Program(5, masked: true);
        bench.Program(5, masked: false);
        bench.Program(2, masked: true);
        bench.Program(2, masked: false);
        Assert.DoesNotContain("disable 2", bench.Log);
        bench.SetMsix(false);
        bench.Device.TriggerErrno = (_, _, _) => 0;
        bench.SetMsix(true);
        Assert.Equal([1, 2, 5], bench.Device.Enabled(VfioIrqIndex.Msix));
    }

    [Fact]
    public void When_the_host_gives_nothing_back_after_a_refused_growth_each_vector_begins_anew_when_it_is_written()
    {
        using Bench bench = Started();
        bench.Device.TriggerErrno = (_, _, count) => count == 8 ? Errno.ENOSPC : 0;
        bench.Program(1, masked: false);
        bench.SetMsix(true);
        bench.Device.TriggerErrno = (_, _, _) => Errno.ENOSPC;
        bench.Program(5, masked: false);
        Assert.Empty(bench.Device.Enabled(VfioIrqIndex.Msix));
        bench.Device.TriggerErrno = (_, _, _) => 0;
        bench.Program(1, masked: false);
        bench.Program(5, masked: false);
        Assert.True(bench.Device.Raise(VfioIrqIndex.Msix, 1));
        Assert.True(bench.Device.Raise(VfioIrqIndex.Msix, 5));
        Assert.Equal([Bench.MessageOf(1), Bench.MessageOf(5)], bench.Guest.Delivered);
    }

    [Fact]
    public void All_vectors_that_are_enabled_together_are_routed_with_one_table_and_masking_costs_none()
    {
        const int Vectors = 64;
        using Bench bench = Started(vectors: Vectors);
        for (int vector = 0; vector < Vectors; vector++)
        {
            bench.Program(vector, masked: false);
        }

        bench.SetMsix(true);
        Assert.Equal(1, bench.Guest.Tables);
        Assert.Equal(Vectors, bench.Guest.Connected.Count);
        bench.SetMsix(true, functionMasked: true);
        Assert.Empty(bench.Guest.Connected);
        bench.SetMsix(true);
        MsixCapability msix = bench.Function.Find<MsixCapability>()!;
        for (ulong vector = 0; vector < Vectors; vector++)
        {
            msix.Table.Write((vector * MsixCapability.EntrySize) + 12, 4, 1);
            msix.Table.Write((vector * MsixCapability.EntrySize) + 12, 4, 0);
        }

        Assert.Equal(Vectors, bench.Guest.Connected.Count);
        Assert.Equal(1, bench.Guest.Tables);
        bench.SetMsix(false);
        Assert.Equal(0, bench.Guest.Reserved);
    }

    [Fact]
    public void Vectors_whose_table_the_hypervisor_refuses_are_delivered_by_this_process()
    {
        using Bench bench = Started(guest: new FakeGuest { RefusesTables = true });
        bench.Program(0, masked: false);
        bench.SetMsix(true);
        Assert.Equal(1, bench.Function.RelayedInterrupts);
        Assert.Equal(0, bench.Guest.Reserved);
        bench.Device.Raise(VfioIrqIndex.Msix, 0);
        Bench.Eventually(() => bench.Sink.Sent.Length == 1);
    }

    [Fact]
    public void A_message_that_is_no_interrupt_gets_no_route_and_is_left_to_the_sink_that_counts_it()
    {
        using Bench bench = Started();
        bench.Program(0, masked: false);
        bench.SetMsix(true);
        Assert.Single(bench.Guest.Connected);
        bench.Function.Find<MsixCapability>()!.Table.Write(0, 8, 0x1000);
        Assert.Empty(bench.Guest.Connected);
        Assert.Equal(0, bench.Guest.Reserved);
        bench.Device.Raise(VfioIrqIndex.Msix, 0);
        Bench.Eventually(() => bench.Sink.Sent.Length == 1);
        Assert.Equal(0x1000ul, bench.Sink.Sent[0].Address.Value);
        bench.Program(0, masked: true);
        bench.Program(0, masked: false);
        Assert.Equal([Bench.MessageOf(0)], bench.Guest.Connected);
    }

    [Fact]
    public void A_host_that_can_grow_gets_each_vector_when_it_is_needed()
    {
        using Bench bench = Started(canGrow: true);
        bench.Program(3, masked: false);
        bench.SetMsix(true);
        bench.Program(1, masked: false);
        Assert.Equal(["triggers 2 3+1", "triggers 2 1+1"], bench.Log.Where(s => s.StartsWith("triggers 2", StringComparison.Ordinal)));
    }

    [Fact]
    public void Vectors_that_the_host_refuses_are_reported_once_and_tried_again_when_written()
    {
        using Bench bench = Started();
        bench.Device.TriggerErrno = (_, _, _) => Errno.ENOSPC;
        bench.Program(0, masked: false);
        bench.SetMsix(true);
        bench.Program(1, masked: false);
        Assert.Single(bench.Events.Seen, "interrupts 2 failed 28");
        bench.Device.TriggerErrno = (_, _, _) => 0;
        bench.Program(0, masked: false);
        Assert.Equal([Bench.MessageOf(0)], bench.Guest.Connected);
    }

    [Fact]
    public void Disabling_msix_in_mid_transfer_disconnects_everything_and_keeps_what_was_raised()
    {
        using Bench bench = Started();
        bench.Program(0, masked: false);
        bench.Program(1, masked: false);
        bench.SetMsix(true);
        bench.Program(1, masked: true);
        bench.Device.Raise(VfioIrqIndex.Msix, 1);
        bench.SetMsix(false);
        Assert.Empty(bench.Guest.Connected);
        Assert.Empty(bench.Device.Enabled(VfioIrqIndex.Msix));
        Assert.False(bench.Device.Raise(VfioIrqIndex.Msix, 0));
        bench.SetMsix(true);
        bench.Program(1, masked: false);
        Assert.Equal([Bench.MessageOf(1)], bench.Sink.Sent);
    }

    [Fact]
    public void A_reset_drops_what_was_raised()
    {
        using Bench bench = Started();
        bench.Program(1, masked: false);
        bench.SetMsix(true);
        bench.Program(1, masked: true);
        bench.Device.Raise(VfioIrqIndex.Msix, 1);
        bench.Write(0x78, 2, 0x8000);
        bench.Enable();
        bench.SetMsix(true);
        bench.Program(1, masked: false);
        Assert.Empty(bench.Sink.Sent);
        Assert.Empty(bench.Guest.Delivered);
    }

    [Fact]
    public void A_vector_without_a_route_is_delivered_by_this_process()
    {
        using Bench bench = Started(guest: new FakeGuest { RoutesLeft = 1 });
        bench.Program(0, masked: false);
        bench.Program(1, masked: false);
        bench.SetMsix(true);
        Assert.Equal(1, bench.Function.RelayedInterrupts);
        bench.Device.Raise(VfioIrqIndex.Msix, 1);
        Bench.Eventually(() => bench.Sink.Sent.Length == 1);
        Assert.Equal(Bench.MessageOf(1), bench.Sink.Sent[0]);
        bench.Program(1, masked: true);
        bench.Device.Raise(VfioIrqIndex.Msix, 1);
        bench.Program(1, masked: false, generation: 1);
        Bench.Eventually(() => bench.Sink.Sent.Length == 2);
        Assert.Equal(Bench.MessageOf(1, 1), bench.Sink.Sent[1]);
    }

    [Fact]
    public void Msi_delivers_as_many_vectors_as_the_guest_allows()
    {
        using Bench bench = new(SampleConfig.Teaching(msiVectors: 4));
        bench.Enable();
        bench.Write(0x44, 4, 0xFEE0_0000);
        bench.Write(0x4C, 2, 0x4040);
        bench.Write(0x42, 2, 0x0011);
        Assert.Equal([0x4040u, 0x4041u], bench.Guest.Connected.Select(m => m.Data));
        Assert.Equal([0, 1], bench.Device.Enabled(VfioIrqIndex.Msi));
        bench.Write(0x42, 2, 0x0021);
        Assert.Equal([0x4040u, 0x4041u, 0x4042u, 0x4043u], bench.Guest.Connected.Select(m => m.Data).Order());
        bench.Device.Raise(VfioIrqIndex.Msi, 3);
        Assert.Equal(0x4043u, Assert.Single(bench.Guest.Delivered).Data);
        bench.Write(0x42, 2, 0);
        Assert.Empty(bench.Guest.Connected);
        Assert.Empty(bench.Device.Enabled(VfioIrqIndex.Msi));
    }

    [Fact]
    public void A_masked_msi_vector_is_pending_until_it_is_unmasked()
    {
        using Bench bench = new(SampleConfig.Teaching(msiVectors: 2, maskable: true));
        bench.Enable();
        bench.Write(0x44, 4, 0xFEE0_0000);
        bench.Write(0x42, 2, 0x0011);
        bench.Write(0x50, 4, 2);
        Assert.Single(bench.Guest.Connected);
        bench.Device.Raise(VfioIrqIndex.Msi, 1);
        Assert.Equal(2u, bench.Read(0x54, 4));
        bench.Write(0x50, 4, 0);
        Assert.Equal(0u, bench.Read(0x54, 4));
        Assert.Equal(1u, Assert.Single(bench.Sink.Sent).Data);
        Assert.Equal(2, bench.Guest.Connected.Count);
    }

    [Fact]
    public void Msix_wins_over_msi_and_the_host_has_one_kind_at_a_time()
    {
        using Bench bench = Started();
        bench.Program(0, masked: false);
        bench.Write(0x52, 2, 1);
        Assert.NotEmpty(bench.Device.Enabled(VfioIrqIndex.Msi));
        bench.SetMsix(true);
        Assert.Empty(bench.Device.Enabled(VfioIrqIndex.Msi));
        Assert.NotEmpty(bench.Device.Enabled(VfioIrqIndex.Msix));
        bench.SetMsix(false);
        Assert.NotEmpty(bench.Device.Enabled(VfioIrqIndex.Msi));
    }
}
