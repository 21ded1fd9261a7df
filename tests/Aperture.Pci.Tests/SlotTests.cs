using Aperture.Pci.Capabilities;
using Aperture.Pci.Ports;
using Aperture.Pci.Registers;

namespace Aperture.Pci.Tests;

public sealed class SlotTests
{
    private const uint Enables = 0x1029;
    private const uint PowerOff = 0x400;
    private const uint IndicatorOff = 0x300;

    private readonly RecordingWriteSink _sink = new();
    private readonly RecordingMsiSink _messages = new();
    private readonly RecordingLine _line = new();
    private readonly PciHierarchy _hierarchy;
    private readonly RootPort _port = new("rp0", 7);
    private readonly PciFunction _device = Build.Function("dev");

    public SlotTests()
    {
        _hierarchy = new PciHierarchy(_sink, _messages);
        _hierarchy.Root.Add(1 << 3, _port);
        _port.IntxLine = _line;
        _port.ProgramBusNumbers(0, 1, 1);
        _port.ProgramCommand(PciCommand.BusMaster | PciCommand.MemorySpace, PciCommand.BusMaster | PciCommand.MemorySpace);
    }

    private uint Status => _hierarchy.ConfigRead(_port.Bdf, _port.Express.Offset + 0x1A, 2);

    private bool LinkActive => (_hierarchy.ConfigRead(_port.Bdf, _port.Express.Offset + 0x12, 2) & 0x2000) != 0;

    private uint VendorBelow => _hierarchy.ConfigRead(new Bdf(1, 0, 0), 0, 2);

    [Fact]
    public void A_slot_can_be_hot_plugged_and_keeps_its_number()
    {
        uint capabilities = _port.ReadConfig(_port.Express.Offset + 0x14, 4);
        Assert.Equal(7u, capabilities >> 19);
        Assert.Equal(0x4007Bu, capabilities & 0x7FFFF);
    }

    [Fact]
    public void A_device_that_was_there_at_start_is_present_without_an_event()
    {
        RootPort other = new("rp1", 8);
        _hierarchy.Root.Add(2 << 3, other);
        other.Secondary.Add(0, _device);
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
        Assert.True(_sink.Writes[^1].Change.HasFlag(ConfigChange.DecodeMap));
    }

    [Fact]
    public void Power_off_resets_what_is_below_and_release_needs_the_indicator_off_too()
    {
        Insert();
        Bar bar = _device.AddBar(0, BarKind.Memory32, 0x1000);
        _port.ProgramWindow(BridgeWindow.Memory, Build.Range(0xE000_0000, 0x10_0000));
        _device.ProgramBar(0, Build.At(0xE000_0000));
        Build.Enable(_device);
        Assert.Single(_hierarchy.ComputeDecode(Build.OpenLimits, DecodeMap.Empty).Memory);
        WriteControl(PowerOff);
        Assert.Equal((false, false), (_port.IsPowered, _port.IsReleased));
        Assert.Equal(PciCommand.None, _device.Command);
        Assert.Equal(0u, bar.Programmed.Value);
        Assert.Equal(ConfigChange.SlotControl | ConfigChange.SecondaryReset,
            _sink.Writes[^1].Change & (ConfigChange.SlotControl | ConfigChange.SecondaryReset));
        WriteControl(PowerOff | IndicatorOff);
        Assert.True(_port.IsReleased);
        Assert.Equal(ConfigChange.SlotControl, _sink.Writes[^1].Change);
    }

    [Fact]
    public void Events_that_come_together_are_one_message_and_the_next_comes_after_all_were_cleared()
    {
        EnableMsi();
        WriteControl(Enables);
        Insert();
        Assert.Single(_messages.Sent);
        Assert.Equal(_port.Bdf, _messages.Sent[0].Requester);
        _port.PressAttentionButton();
        Assert.Single(_messages.Sent);
        WriteStatus(0x109);
        _port.PressAttentionButton();
        Assert.Equal(2, _messages.Sent.Count);
        Assert.False(_line.Level);
    }

    [Fact]
    public void An_event_that_is_not_enabled_is_kept_and_signalled_when_it_is()
    {
        EnableMsi();
        WriteControl(Enables & ~0x1u);
        _port.PressAttentionButton();
        Assert.Empty(_messages.Sent);
        WriteControl(Enables);
        Assert.Single(_messages.Sent);
    }

    [Fact]
    public void Without_MSI_the_interrupt_is_a_level_that_ends_with_the_event()
    {
        WriteControl(Enables);
        _port.PressAttentionButton();
        Assert.True(_line.Level);
        WriteStatus(0x1);
        Assert.False(_line.Level);
    }

    [Fact]
    public void Taking_out_reports_presence_and_link_and_nothing_answers()
    {
        Insert();
        WriteStatus(0x109);
        _port.Secondary.Remove(_device);
        _port.ReportPresenceChange();
        Assert.Equal(0x108u, Status);
        Assert.False(LinkActive);
        Assert.Equal(0xFFFFu, VendorBelow);
    }

    [Fact]
    public void A_reset_gives_power_and_forgets_events()
    {
        Insert();
        WriteControl(PowerOff | IndicatorOff);
        _hierarchy.Reset(ResetKind.Cold);
        Assert.Equal(0x40u, _port.ReadConfig(_port.Express.Offset + 0x1A, 2));
        Assert.True(_port.IsPowered);
        Assert.NotEqual(0u, _port.ReadConfig(_port.Express.Offset + 0x12, 2) & 0x2000);
    }

    private void Insert()
    {
        _port.Secondary.Add(0, _device);
        _port.ReportPresenceChange();
    }

    private void WriteControl(uint value) => _hierarchy.ConfigWrite(_port.Bdf, _port.Express.Offset + 0x18, 2, value);

    private void WriteStatus(uint value) => _hierarchy.ConfigWrite(_port.Bdf, _port.Express.Offset + 0x1A, 2, value);

    private void EnableMsi() => _hierarchy.ConfigWrite(_port.Bdf, _port.Find<MsiCapability>()!.Offset + 2, 2, 1);
}
