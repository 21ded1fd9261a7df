using System.Buffers.Binary;
using Aperture.Firmware.Acpi;
using Aperture.Firmware.Platform;

namespace Aperture.Firmware.Tests.Acpi;

public class NamespaceTests
{
    // In the byte order of a UUID buffer: first three groups little-endian.
    private static readonly byte[] OscUuid = Convert.FromHexString("5B4DDB33F71F1C4096577441C03DD766");
    private static readonly byte[] DsmUuid = Convert.FromHexString("D037C9E553357A4D9117EA4D19C3434D");
    private static readonly byte[] OtherUuid = Convert.FromHexString("000102030405060708090A0B0C0D0E0F");

    public static TheoryData<string> Platforms => [.. SamplePlatforms.Names];

    [Theory]
    [MemberData(nameof(Platforms))]
    public void The_host_bridge_forwards_exactly_the_described_windows(string name)
    {
        AcpiInterpreter.SkipUnlessPresent();
        PlatformDescription platform = SamplePlatforms.Get(name);
        AcpiObject crs = AcpiInterpreter.Evaluate(DsdtOf(platform), "\\_SB.PCI0._CRS")[0];

        HostBridgeWindows bridge = platform.HostBridge;
        List<string> expected =
        [
            $"bus16 window {bridge.FirstBus:x}-{bridge.LastBus:x}",
            "ports cf8-cff",
            "io16 window 0-cf7",
            "io16 window d00-ffff",
            "memory32 window a0000-bffff",
            .. bridge.Memory32.Select(static range => $"memory32 window {range.Start.Value:x}-{range.Last.Value:x}"),
            .. bridge.Memory64.Select(static range => $"memory64 window {range.Start.Value:x}-{range.Last.Value:x}"),
        ];
        Assert.Equal(expected, ResourceReader.Read(crs.Buffer!));
    }

    [Theory]
    [MemberData(nameof(Platforms))]
    public void The_board_reserves_the_ECAM_window_and_no_bridge_window_touches_it(string name)
    {
        AcpiInterpreter.SkipUnlessPresent();
        PlatformDescription platform = SamplePlatforms.Get(name);
        List<string> reserved = ResourceReader.Read(AcpiInterpreter.Evaluate(DsdtOf(platform), "\\_SB.MBRD._CRS")[0].Buffer!);
        List<string> memory = reserved.FindAll(static what => !what.StartsWith("ports", StringComparison.Ordinal));
        string? expected = platform.Ecam?.Range switch
        {
            null => null,
            { Last.Value: <= uint.MaxValue } low => $"fixed {low.Start.Value:x}+{low.Size:x}",
            { } high => $"memory64 own {high.Start.Value:x}-{high.Last.Value:x}",
        };
        Assert.Equal(expected is null ? [] : [expected], memory);
        Assert.Equal(platform.Pm.Length == 0 ? 0 : 1, reserved.Count - memory.Count);
        Assert.DoesNotContain(
            platform.HostBridge.Memory32.Concat(platform.HostBridge.Memory64),
            window => platform.Ecam is { } ecam && ecam.Range.Overlaps(window));
    }

    [Theory]
    [MemberData(nameof(Platforms))]
    public void Every_interrupt_route_is_one_entry_that_names_its_global_interrupt(string name)
    {
        AcpiInterpreter.SkipUnlessPresent();
        PlatformDescription platform = SamplePlatforms.Get(name);
        if (platform.InterruptRoutes.Count == 0)
        {
            // An empty list is not a legal _PRT; the object stays out.
            Assert.Equal(-1, DsdtOf(platform).AsSpan().IndexOf("_PRT"u8));
            return;
        }

        AcpiObject prt = AcpiInterpreter.Evaluate(DsdtOf(platform), "\\_SB.PCI0._PRT")[0];
        Assert.Equal(
            platform.InterruptRoutes.Select(static route => $"{(uint)route.Device << 16 | 0xFFFF:x} {route.Pin} 0 {route.Gsi}"),
            prt.Package!.Select(static entry =>
                $"{entry.Package![0].Integer:x} {entry.Package[1].Integer} {entry.Package[2].Integer} {entry.Package[3].Integer}"));
    }

    [Fact]
    public void OSC_grants_what_is_offered_and_says_when_it_masked_bits()
    {
        AcpiInterpreter.SkipUnlessPresent();
        Assert.Equal(
            [
                (0u, 0x1Du),
                (0u, 0u),
                (0x10u, 0x1Du),
                (0x10u, 0u),
                (0x11u, 0x1Du),
            ],
            Osc(
                "small",
                (OscUuid, 1, 0, 0x1D),
                (OscUuid, 1, 0, 0),
                (OscUuid, 1, 0, 0x3F),
                (OscUuid, 1, 0, 0x2),
                (OscUuid, 1, 1, 0xFFFF_FFFF)));
        Assert.Equal([(0x10u, 0x18u)], Osc("large", (OscUuid, 1, 0, 0x1D)));
    }

    [Fact]
    public void OSC_refuses_an_unknown_UUID_untouched_and_an_unknown_revision_with_nothing_granted()
    {
        AcpiInterpreter.SkipUnlessPresent();
        Assert.Equal(
            [(4u, 0x3Fu), (8u, 0u), (8u, 0u), (4u, 0x1Du)],
            Osc("small", (OtherUuid, 1, 0, 0x3F), (OscUuid, 0, 0, 0x1D), (OscUuid, 2, 0, 0x1D), (OtherUuid, 9, 0, 0x1D)));
    }

    [Fact]
    public void OSC_with_too_few_dwords_fails_instead_of_ending_the_interpreter()
    {
        AcpiInterpreter.SkipUnlessPresent();
        byte[] capabilities = new byte[8];
        AcpiObject answer = AcpiInterpreter.Evaluate(
            DsdtOf(SamplePlatforms.Get("small")),
            $"\\_SB.PCI0._OSC {AcpiInterpreter.Argument(OscUuid)} 1 2 {AcpiInterpreter.Argument(capabilities)}")[0];
        Assert.Equal([2, 0, 0, 0, 0, 0, 0, 0], answer.Buffer!);
    }

    [Theory]
    [InlineData("small", 0)]
    [InlineData("large", 1)]
    [InlineData("i440fx", 0)]
    public void DSM_5_says_whether_to_preserve_in_revisions_1_and_2_only(string name, int preserve)
    {
        AcpiInterpreter.SkipUnlessPresent();
        string Call(byte[] uuid, int revision, int function) =>
            $"\\_SB.PCI0._DSM {AcpiInterpreter.Argument(uuid)} {revision} {function} [0]";
        List<AcpiObject> answers = AcpiInterpreter.Evaluate(
            DsdtOf(SamplePlatforms.Get(name)),
            Call(DsmUuid, 1, 0),
            Call(DsmUuid, 2, 0),
            Call(DsmUuid, 1, 5),
            Call(DsmUuid, 2, 5),
            Call(DsmUuid, 0, 0),
            Call(DsmUuid, 3, 5),
            Call(DsmUuid, 1, 1),
            Call(OtherUuid, 1, 0));

        Assert.Equal([0x21], answers[0].Buffer!);
        Assert.Equal([0x21], answers[1].Buffer!);
        Assert.Equal((ulong)preserve, answers[2].Integer);
        Assert.Equal((ulong)preserve, answers[3].Integer);
        Assert.All(answers[4..], static answer => Assert.Equal([0], answer.Buffer!));
    }

    [Theory]
    [MemberData(nameof(Platforms))]
    public void Bridge_identity_soft_off_and_the_last_processor_are_as_described(string name)
    {
        AcpiInterpreter.SkipUnlessPresent();
        PlatformDescription platform = SamplePlatforms.Get(name);
        int last = platform.ApicIds.Count - 1;
        List<AcpiObject> answers = AcpiInterpreter.Evaluate(
            DsdtOf(platform),
            "\\_SB.PCI0._HID",
            "\\_SB.PCI0._BBN",
            "\\_SB.PCI0._SEG",
            "\\_S5",
            $"\\_SB.CP{last:X2}._UID");

        // PNP0A08 and PNP0A03 as EISA ids: 0x41D0 is "PNP" byte-swapped.
        Assert.Equal(platform.Board == BoardKind.Q35 ? 0x080A_D041u : 0x030A_D041u, answers[0].Integer);
        Assert.Equal(platform.HostBridge.FirstBus, answers[1].Integer);
        Assert.Equal(0UL, answers[2].Integer);
        Assert.Equal(platform.SoftOffSleepType, answers[3].Package![0].Integer);
        Assert.Equal((ulong)last, answers[4].Integer);
    }

    [Fact]
    public void Only_a_PCI_Express_bridge_negotiates_and_is_compatible_with_the_conventional_one()
    {
        Assert.True(DsdtOf(SamplePlatforms.Get("small")).AsSpan().IndexOf("_OSC"u8) > 0);
        Assert.True(DsdtOf(SamplePlatforms.Get("small")).AsSpan().IndexOf("_CID"u8) > 0);
        Assert.Equal(-1, DsdtOf(SamplePlatforms.Get("i440fx")).AsSpan().IndexOf("_OSC"u8));
        Assert.Equal(-1, DsdtOf(SamplePlatforms.Get("i440fx")).AsSpan().IndexOf("_CID"u8));
    }

    private static IEnumerable<(uint Status, uint Control)> Osc(string platform, params (byte[] Uuid, int Revision, uint Status, uint Control)[] calls)
    {
        string[] evaluations = [.. calls.Select(static call =>
        {
            byte[] capabilities = new byte[12];
            BinaryPrimitives.WriteUInt32LittleEndian(capabilities, call.Status);
            BinaryPrimitives.WriteUInt32LittleEndian(capabilities.AsSpan(4), 0x1F);
            BinaryPrimitives.WriteUInt32LittleEndian(capabilities.AsSpan(8), call.Control);
            return $"\\_SB.PCI0._OSC {AcpiInterpreter.Argument(call.Uuid)} {call.Revision} 3 {AcpiInterpreter.Argument(capabilities)}";
        })];
        foreach (AcpiObject answer in AcpiInterpreter.Evaluate(DsdtOf(SamplePlatforms.Get(platform)), evaluations))
        {
            // The support dword comes back as it went.
            Assert.Equal(0x1Fu, BinaryPrimitives.ReadUInt32LittleEndian(answer.Buffer!.AsSpan(4)));
            yield return (
                BinaryPrimitives.ReadUInt32LittleEndian(answer.Buffer!),
                BinaryPrimitives.ReadUInt32LittleEndian(answer.Buffer!.AsSpan(8)));
        }
    }

    private static byte[] DsdtOf(PlatformDescription platform) =>
        AcpiTables.Build(platform, SamplePlatforms.TablesAt).Tables.Single(static table => table.Signature == "DSDT").Bytes.ToArray();
}
