namespace Aperture.Pci.Tests;

public sealed class SlotTests
{
    private const uint Enables = 0x1029;
    private const uint PowerOff = 0x400;
    private const uint IndicatorOff = 0x300;

    private readonly RecordingWriteSink sink = new();
    private readonly RecordingMsiSink messages = new();
    private readonly RecordingLine line = new();
    private readonly PciHierarchy hierarchy;
    private readonly RootPort port = new("rp0", 7);
    private readonly PciFunction device = Build.Function("dev");

    public SlotTests()
    {
        hierarchy = new PciHierarchy(sink, messages);
        hierarchy.Root.Add(1 << 3, port);
        port.IntxLine = line;
        port.ProgramBusNumbers(0, 1, 1);
        port.ProgramCommand(PciCommand.BusMaster | PciCommand.MemorySpace, PciCommand.BusMaster | PciCommand.MemorySpace);
    }

    private uint Status => hierarchy.ConfigRead(port.Bdf, port.Express.Offset + 0x1A, 2);

    private bool LinkActive => (hierarchy.ConfigRead(port.Bdf, port.Express.Offset + 0x12, 2) & 0x2000) != 0;

    private uint VendorBelow => hierarchy.ConfigRead(new Bdf(1, 0, 0), 0, 2);

    [Fact]
    public void A_slot_can_be_hot_plugged_and_keeps_its_number()
    {
        uint capabilities = port.ReadConfig(port.Express.Offset + 0x14, 4);
        Assert.Equal(7u, capabilities >> 19);
        Assert.Equal(0x4007Bu, capabilities & 0x7FFFF);
    }

    [Fact]
    public void A_device_that_was_there_at_start_is_present_without_an_event()
    {
        RootPort other = new("rp1", 8);
        hierarchy.Root.Add(2 << 3, other);
        other.Secondary.Add(0, device);
        Assert.Equal(0x40u, other.ReadConfig(other.Express.Offset + 0x1A, 2));
    }

    [Fact]
    public void Insertion_reports_presence_and_link_and_the_device_answers()
    {
        Assert.Equal(0xFFFFu, VendorBelow);
        Insert();
        Assert.Equal(0x148u, Status);
        Assert.True(LinkActive);
        Assert.Equal(0x1234u, VendorBelow);
    }

    [Fact]
    public void A_slot_without_power_has_a_device_but_no_link_until_the_guest_turns_it_on()
    {
        WriteControl(PowerOff);
        Insert();
        Assert.Equal(0x48u, Status);
        Assert.False(LinkActive);
        Assert.Equal(0xFFFFu, VendorBelow);
        WriteControl(0);
        Assert.Equal(0x148u, Status);
        Assert.True(LinkActive);
        Assert.Equal(0x1234u, VendorBelow);
        Assert.True(sink.Writes[^1].Change.HasFlag(ConfigChange.DecodeMap));
    }

    [Fact]
    public void Power_off_resets_what_is_below_and_release_needs_the_indicator_off_too()
    {
        Insert();
        Bar bar = device.AddBar(0, BarKind.Memory32, 0x1000);
        port.ProgramWindow(BridgeWindow.Memory, Build.Range(0xE000_0000, 0x10_0000));
        device.ProgramBar(0, Build.At(0xE000_0000));
        Build.Enable(device);
        Assert.Single(hierarchy.ComputeDecode(Build.OpenLimits, DecodeMap.Empty).Memory);
        WriteControl(PowerOff);
        Assert.Equal((false, false), (port.IsPowered, port.IsReleased));
        Assert.Equal(PciCommand.None, device.Command);
        Assert.Equal(0u, bar.Programmed.Value);
        Assert.Equal(ConfigChange.SlotControl | ConfigChange.SecondaryReset, sink.Writes[^1].Change & (ConfigChange.SlotControl | ConfigChange.SecondaryReset));
        WriteControl(PowerOff | IndicatorOff);
        Assert.True(port.IsReleased);
        Assert.Equal(ConfigChange.SlotControl, sink.Writes[^1].Change);
    }

    [Fact]
    public void Events_that_come_together_are_one_message_and_the_next_comes_after_all_were_cleared()
    {
        EnableMsi();
        WriteControl(Enables);
        Insert();
        Assert.Single(messages.Sent);
        Assert.Equal(port.Bdf, messages.Sent[0].Requester);
        port.PressAttentionButton();
        Assert.Single(messages.Sent);
        WriteStatus(0x109);
        port.PressAttentionButton();
        Assert.Equal(2, messages.Sent.Count);
        Assert.False(line.Level);
    }

    [Fact]
    public void An_event_that_is_not_enabled_is_kept_and_signalled_when_it_is()
    {
        EnableMsi();
        WriteControl(Enables & ~0x1u);
        port.PressAttentionButton();
        Assert.Empty(messages.Sent);
        WriteControl(Enables);
        Assert.Single(messages.Sent);
    }

    [Fact]
    public void Without_MSI_the_interrupt_is_a_level_that_ends_with_the_event()
    {
        WriteControl(Enables);
        port.PressAttentionButton();
        Assert.True(line.Level);
        WriteStatus(0x1);
        Assert.False(line.Level);
    }

    [Fact]
    public void Taking_out_reports_presence_and_link_and_nothing_answers()
    {
        Insert();
        WriteStatus(0x109);
        port.Secondary.Remove(device);
        port.ReportPresenceChange();
        Assert.Equal(0x108u, Status);
        Assert.False(LinkActive);
        Assert.Equal(0xFFFFu, VendorBelow);
    }

    [Fact]
    public void A_reset_gives_power_and_forgets_events()
    {
        Insert();
        WriteControl(PowerOff | IndicatorOff);
        hierarchy.Reset(ResetKind.Cold);
        Assert.Equal(0x40u, port.ReadConfig(port.Express.Offset + 0x1A, 2));
        Assert.True(port.IsPowered);
        Assert.NotEqual(0u, port.ReadConfig(port.Express.Offset + 0x12, 2) & 0x2000);
    }

    private void Insert()
    {
        port.Secondary.Add(0, device);
        port.ReportPresenceChange();
    }

    private void WriteControl(uint value) => hierarchy.ConfigWrite(port.Bdf, port.Express.Offset + 0x18, 2, value);

    private void WriteStatus(uint value) => hierarchy.ConfigWrite(port.Bdf, port.Express.Offset + 0x1A, 2, value);

    private void EnableMsi() => hierarchy.ConfigWrite(port.Bdf, port.Find<MsiCapability>()!.Offset + 2, 2, 1);
}
