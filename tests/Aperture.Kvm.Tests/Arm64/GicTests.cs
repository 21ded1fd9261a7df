using System.Buffers.Binary;
using Aperture.Hypervisor;
using Aperture.Hypervisor.Arm64;
using Aperture.Kvm.Arm64;
using Aperture.Linux.Kvm;
using FsCheck.Fluent;

namespace Aperture.Kvm.Tests.Arm64;

/// <summary>What of an arm64 machine can be said without a host.</summary>
public class GicTests
{
    [Fact]
    public void Affinities_are_distinct_and_sixteen_of_the_lowest_level_make_a_group() => Prop.ForAll(
        Arb.From(Gen.Choose(0, 511)), Arb.From(Gen.Choose(0, 511)), (one, other) =>
        {
            uint a = Affinity.Of(one).Value;
            uint b = Affinity.Of(other).Value;

            // Counted, not shifted: fields of 16, 256 and 256 values.
            bool right = a == (one % 16) + (256 * (one / 16 % 256)) + (65536 * (one / 4096));
            return right && (a == b) == (one == other) && (a >> 8 == b >> 8) == (one / 16 == other / 16);
        }).Holds();

    [Fact]
    public void Inputs_are_shared_ones_from_INTID_32_and_none_is_raised_by_events_with_a_level()
    {
        GicInputs inputs = new(224);
        Assert.Equal((224, false), (inputs.Count, inputs.TakesLevelEvents));
        Assert.Equal((1u << 24) + 32, inputs.LineNumber(0));
        Assert.Equal((1u << 24) + 255, inputs.LineNumber(223));
        Assert.Equal(Enumerable.Range(0, 224).Select(i => ((uint)i, 1u, 0u, (uint)i)), inputs.Routes.Select(r => (r.Gsi, r.Type, r.Irqchip, r.Pin)));
        Assert.Empty(inputs.Wire(224, 3, null));
    }

    [Fact]
    public void Messages_are_numbered_behind_the_inputs_and_carry_who_sends_them()
    {
        List<KvmIrqRoutingEntry[]> applied = [];
        MsiRoutes routes = new(new GicInputs(224), 4096, table => applied.Add(table.ToArray()));
        uint gsi = routes.Allocate();
        Assert.Equal(224u, gsi);
        MsiMessage message = new(Arm64Guest.Gic.Doorbell!.Value, 7);
        routes.Set(gsi, message, 0x0310);
        KvmIrqRoutingEntry entry = applied[^1][^1];
        Assert.Equal((224u, 2u, 1u, 0x0809_0040u, 0u, 7u, 0x310u), (
            entry.Gsi, entry.Type, entry.Flags, entry.MsiAddressLow, entry.MsiAddressHigh, entry.MsiData, entry.MsiDeviceId));

        // Another sender is another route.
        routes.Set(gsi, message, 0x0410);
        Assert.Equal((2, 0x410u), (applied.Count, applied[^1][^1].MsiDeviceId));
        routes.Set(gsi, message, 0x0410);
        Assert.Equal(2, applied.Count);
        Assert.Null(routes.JoinWire(3, null));
    }

    [Theory]
    [InlineData(1u << 6, "wrote to")]
    [InlineData(0u, "read from")]
    public void An_access_without_a_syndrome_says_where_it_went_and_what_to_change(uint syndrome, string did)
    {
        byte[] page = new byte[4096];
        BinaryPrimitives.WriteUInt32LittleEndian(page.AsSpan(KvmRunLayout.ExitReason), (uint)KvmExitReason.UndecodedAccess);
        BinaryPrimitives.WriteUInt64LittleEndian(page.AsSpan(KvmRunLayout.UndecodedSyndrome), syndrome);
        BinaryPrimitives.WriteUInt64LittleEndian(page.AsSpan(KvmRunLayout.UndecodedAddress), 0x6B80_0000_1000);
        VcpuStop stop = VcpuExitText.Describe(3, page, () => " at pc 0x40000010")!;
        Assert.Equal((VcpuStopKind.UndecodedAccess, 3), (stop.Kind, stop.Vcpu));
        Assert.StartsWith($"vCPU 3 {did} 0x6b8000001000, where no memory is,", stop.Sentence, StringComparison.Ordinal);
        Assert.Contains("at pc 0x40000010; devices take loads and stores of one general register", stop.Sentence, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(1, VcpuStopKind.PowerOff)]
    [InlineData(2, VcpuStopKind.Reset)]
    [InlineData(3, VcpuStopKind.SystemEvent)]
    [InlineData(4, VcpuStopKind.SystemEvent)]
    public void System_events_are_told_apart(byte type, VcpuStopKind kind)
    {
        byte[] page = new byte[4096];
        page[KvmRunLayout.ExitReason] = (byte)KvmExitReason.SystemEvent;
        page[KvmRunLayout.SystemEventType] = type;
        Assert.Equal(kind, VcpuExitText.Describe(0, page, null)!.Kind);
    }
}
