using System.Collections.Concurrent;
using System.Text;
using Aperture.Pci;
using Aperture.Pci.Capabilities;
using Aperture.Pci.Ports;
using Aperture.Pci.Registers;
using Aperture.TestKit.Devices;
using Aperture.Virtio.Block;
using Aperture.Virtio.Tests.Fakes;
using Aperture.Virtio.Transport;

namespace Aperture.Virtio.Tests;

public sealed class VirtioBlockTests : IDisposable
{
    private const uint In = 0;
    private const uint Out = 1;
    private const uint FlushType = 4;
    private const uint GetId = 8;

    private readonly FakeStorage _disk = new(128);
    private readonly FakeDma _memory = new(0x40000);
    private readonly FakeLine _line = new();
    private readonly RecordingMsiSink _sink = new();
    private readonly List<VirtioPciFunction> _made = [];

    public VirtioBlockTests() => new Random(1).NextBytes(_disk.Bytes);

    public void Dispose() => _made.ForEach(function => function.Dispose());

    private VirtioDriver Make(FakeStorage? disk = null, PciePortType? express = PciePortType.RootComplexEndpoint)
    {
        VirtioPciFunction function = new("disk0", new VirtioBlock(disk ?? _disk, "serial-1"), _ => _memory, express) { IntxLine = _line, MsiSink = _sink };
        _made.Add(function);
        return new VirtioDriver(function, _memory);
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void The_capability_chain_leads_to_all_five_structures(bool express)
    {
        VirtioPciFunction function = Make(express: express ? PciePortType.Endpoint : null).Function;
        Assert.Equal(0x1042_1AF4u, function.ReadConfig(0, 4));
        Assert.True(function.ReadConfig(8, 1) >= 1);
        Dictionary<uint, (uint Bar, uint Offset, uint Length)> found = [];
        for (int at = (int)function.ReadConfig(0x34, 1); at != 0; at = (int)function.ReadConfig(at + 1, 1))
        {
            if (function.ReadConfig(at, 1) == 9)
            {
                Assert.True(function.ReadConfig(at + 2, 1) >= 16);
                found.Add(function.ReadConfig(at + 3, 1), (function.ReadConfig(at + 4, 1), function.ReadConfig(at + 8, 4), function.ReadConfig(at + 12, 4)));
            }
        }

        Assert.Equal<uint>([1, 2, 3, 4, 5], [.. found.Keys.Order()]);
        Assert.Equal((0u, 0u, 0x38u), found[1]);
        Assert.Equal((0u, 0x3000u, 4u), found[2]);
        Assert.Equal((0u, 0x1000u, 1u), found[3]);
        Assert.Equal((0u, 0x2000u, 24u), found[4]);
    }

    [Fact]
    public void Device_configuration_gives_capacity_segments_and_block_size()
    {
        VirtioDriver driver = Make();
        Assert.Equal(128u, driver.Get(0x2000, 4));
        Assert.Equal(0u, driver.Get(0x2004, 4));
        Assert.Equal(254u, driver.Get(0x200C, 4));
        Assert.Equal(512u, driver.Get(0x2014, 4));
        Assert.Equal(VirtioDriver.Version1 | VirtioDriver.Indirect | VirtioDriver.Flush | 1u << 2 | 1u << 6, driver.OfferedFeatures());
    }

    [Fact]
    public void A_fault_on_the_workers_thread_is_told_and_ends_the_device_not_the_process()
    {
        _disk.OnAccess = () => throw new InvalidOperationException("a mistake");
        using BlockingCollection<Exception> told = [];
        using VirtioPciFunction function = new("disk0", new VirtioBlock(_disk, "serial-1"), _ => _memory, PciePortType.RootComplexEndpoint, told.Add)
        {
            IntxLine = _line,
            MsiSink = _sink,
        };
        VirtioDriver driver = new(function, _memory);
        driver.Start();
        driver.Header(In, 0);
        driver.Descriptor(0, VirtioDriver.Buffers, 16, 1, 1);
        driver.Descriptor(1, VirtioDriver.Buffers + 0x100, 512, 3, 2);
        driver.Descriptor(2, VirtioDriver.Buffers + 16, 1, 2, 0);
        driver.Offer(0);
        driver.Ring();
        Assert.Equal("a mistake", told.Take(TestContext.Current.CancellationToken).Message);
        driver.Ring();
        Assert.Equal(0, driver.UsedIndex);
        Assert.Empty(told);
    }

    [Fact]
    public void A_read_gives_the_sectors_of_the_disk_and_raises_INTx_until_the_status_is_read()
    {
        VirtioDriver driver = Make();
        driver.Start();
        Assert.Equal(((byte)0, 1025u), driver.Request(In, 5, 1024, deviceWrites: true));
        Assert.Equal(_disk.Bytes[2560..3584], driver.Data(1024).ToArray());
        Assert.True(_line.Level);
        Assert.Equal(1, driver.Function.Handler(0)!.In(0x1000));
        Assert.False(_line.Level);
        Assert.Equal(0, driver.Function.Handler(0)!.In(0x1000));
    }

    [Fact]
    public void A_write_changes_just_its_sectors()
    {
        VirtioDriver driver = Make();
        driver.Start();
        byte[] expected = [.. _disk.Bytes];
        driver.Data(512).Fill(0xA5);
        expected.AsSpan(7 * 512, 512).Fill(0xA5);
        Assert.Equal(((byte)0, 1u), driver.Request(Out, 7, 512, deviceWrites: false));
        Assert.Equal(expected, _disk.Bytes);
        Assert.Equal(0, _disk.Flushes);
    }

    [Fact]
    public void Without_the_flush_feature_every_write_is_flushed()
    {
        VirtioDriver driver = Make();
        driver.Start(VirtioDriver.Version1);
        driver.Request(Out, 0, 512, deviceWrites: false);
        Assert.Equal(1, _disk.Flushes);
    }

    [Fact]
    public void Flush_and_id_and_unknown_requests_are_answered()
    {
        VirtioDriver driver = Make();
        driver.Start();
        Assert.Equal(((byte)0, 1u), driver.Request(FlushType, 0, 0, deviceWrites: false));
        Assert.Equal(1, _disk.Flushes);
        Assert.Equal(((byte)0, 21u), driver.Request(GetId, 0, 20, deviceWrites: true));
        Assert.Equal("serial-1", Encoding.ASCII.GetString(driver.Data(20)).TrimEnd('\0'));
        Assert.Equal((byte)2, driver.Request(99, 0, 512, deviceWrites: true).Status);
    }

    [Theory]
    [InlineData(In, 128UL, 512)]
    [InlineData(In, 127UL, 1024)]
    [InlineData(Out, 127UL, 1024)]
    [InlineData(In, ulong.MaxValue, 512)]
    [InlineData(In, 1UL << 55, 512)]
    [InlineData(In, 0UL, 100)]
    [InlineData(Out, 0UL, 513)]
    public void A_request_past_the_end_or_of_no_whole_sectors_fails_without_touching_the_disk(uint type, ulong sector, int length)
    {
        byte[] before = [.. _disk.Bytes];
        VirtioDriver driver = Make();
        driver.Start();
        Assert.Equal((byte)1, driver.Request(type, sector, length, type == In).Status);
        Assert.Equal(before, _disk.Bytes);
        Assert.Equal(0xF, driver.Status);
    }

    [Fact]
    public void A_read_only_disk_says_so_and_refuses_writes()
    {
        VirtioDriver driver = Make(new FakeStorage(8, readOnly: true));
        Assert.NotEqual(0UL, driver.OfferedFeatures() & 1 << 5);
        driver.Start();
        Assert.Equal((byte)1, driver.Request(Out, 0, 512, deviceWrites: false).Status);
        Assert.Equal((byte)0, driver.Request(In, 0, 512, deviceWrites: true).Status);
    }

    [Fact]
    public void A_fault_of_the_host_is_an_IO_error_and_the_device_goes_on()
    {
        VirtioDriver driver = Make();
        driver.Start();
        _disk.Broken = true;
        Assert.Equal((byte)1, driver.Request(In, 0, 512, deviceWrites: true).Status);
        Assert.Equal((byte)1, driver.Request(Out, 0, 512, deviceWrites: false).Status);
        Assert.Equal((byte)1, driver.Request(FlushType, 0, 0, deviceWrites: false).Status);
        _disk.Broken = false;
        Assert.Equal((byte)0, driver.Request(In, 0, 512, deviceWrites: true).Status);
    }

    [Fact]
    public void MSI_X_replaces_INTx_and_follows_the_drivers_wish()
    {
        VirtioDriver driver = Make();
        driver.Start();
        IAccessHandler bar = driver.Function.Handler(0)!;
        bar.Out32(0x3810, 0xFEE00000);
        bar.Out32(0x381C, 0);
        driver.Set(0x1A, 2, 1);
        Assert.Equal(1u, driver.Get(0x1A, 2));
        int capability = driver.Function.Find<MsixCapability>()!.Offset;
        driver.Function.WriteConfig(capability + 2, 2, 0x8000);
        driver.Request(In, 0, 512, deviceWrites: true);
        Assert.Equal(1, _sink.Count);
        Assert.False(_line.Level);
        _memory.Memory[VirtioDriver.Available] = 1;
        driver.Request(In, 0, 512, deviceWrites: true);
        Assert.Equal(1, _sink.Count);
        driver.Set(0x1A, 2, 2);
        Assert.Equal(0xFFFFu, driver.Get(0x1A, 2));
    }

    [Fact]
    public void Features_without_version_1_or_beyond_the_offer_are_refused()
    {
        foreach (ulong features in new[] { 0UL, VirtioDriver.Flush, VirtioDriver.Version1 | 1UL << 40 })
        {
            VirtioDriver driver = Make();
            driver.Set(0x14, 1, 3);
            driver.Set(8, 4, 0);
            driver.Set(0xC, 4, (uint)features);
            driver.Set(8, 4, 1);
            driver.Set(0xC, 4, (uint)(features >> 32));
            driver.Set(0x14, 1, 0xB);
            Assert.Equal(3, driver.Status);
            driver.Set(0x14, 1, 0xF);
            Assert.Equal(3, driver.Status);
        }
    }

    [Fact]
    public void A_queue_that_does_not_exist_has_size_0_and_takes_nothing()
    {
        VirtioDriver driver = Make();
        driver.Set(0x16, 2, 1);
        Assert.Equal(0u, driver.Get(0x18, 2));
        driver.Set(0x18, 2, 8);
        driver.Set(0x20, 4, 0x1000);
        Assert.Equal(0u, driver.Get(0x18, 2));
        Assert.Equal(0u, driver.Get(0x20, 4));
        driver.Set(0x16, 2, 0);
        Assert.Equal(256u, driver.Get(0x18, 2));
    }

    [Theory]
    [InlineData(0x18u, 24u)]
    [InlineData(0x18u, 512u)]
    [InlineData(0x18u, 0u)]
    [InlineData(0x20u, 0x1008u)]
    [InlineData(0x28u, 0x2001u)]
    [InlineData(0x30u, 0x3002u)]
    [InlineData(0x24u, 0xFFFFFFFFu)]
    public void Enabling_a_queue_with_an_illegal_setup_needs_a_reset(uint register, uint value)
    {
        VirtioDriver driver = Make();
        driver.Set(0x14, 1, 3);
        driver.Set(0x20, 4, register == 0x24 ? 0xFFFFFFF0 : 0x1000);
        driver.Set(0x28, 4, 0x2000);
        driver.Set(0x30, 4, 0x3000);
        driver.Set(register, register == 0x18 ? 2 : 4, value);
        driver.Set(0x1C, 2, 1);
        Assert.Equal(0u, driver.Get(0x1C, 2));
        Assert.Equal(0x43, driver.Status);
        driver.Set(0x14, 1, 0);
        Assert.Equal(0, driver.Status);
    }

    [Fact]
    public void An_indirect_table_is_followed_when_agreed_on()
    {
        VirtioDriver driver = Make();
        driver.Start();
        driver.Header(In, 3);
        driver.Descriptor(0, 0x6000, 48, 4, 0);
        driver.Descriptor(0, VirtioDriver.Buffers, 16, 1, 2, 0x6000);
        driver.Descriptor(2, VirtioDriver.Buffers + 0x100, 512, 3, 1, 0x6000);
        driver.Descriptor(1, VirtioDriver.Buffers + 16, 1, 2, 0, 0x6000);
        driver.Offer(0);
        driver.Ring();
        Assert.Equal(1, driver.UsedIndex);
        Assert.Equal(_disk.Bytes[1536..2048], driver.Data(512).ToArray());

        driver.Start(VirtioDriver.Version1);
        driver.Offer(0);
        driver.Ring();
        Assert.Equal(0x4F, driver.Status);
    }

    [Fact]
    public void Bus_mastering_off_stops_the_device_without_an_error()
    {
        VirtioDriver driver = Make();
        driver.Start();
        driver.Function.WriteConfig(PciRegisters.Command, 2, (uint)PciCommand.MemorySpace);
        driver.Header(In, 0);
        driver.Descriptor(0, VirtioDriver.Buffers, 16, 1, 1);
        driver.Descriptor(1, VirtioDriver.Buffers + 16, 1, 2, 0);
        driver.Offer(0);
        driver.Ring();
        Assert.Equal(0, driver.UsedIndex);
        Assert.Equal(0xF, driver.Status);
        driver.Function.WriteConfig(PciRegisters.Command, 2, (uint)(PciCommand.MemorySpace | PciCommand.BusMaster));
        driver.Ring();
        Assert.Equal(1, driver.UsedIndex);
    }

    [Fact]
    public void After_a_reset_a_request_that_was_under_way_writes_no_guest_memory()
    {
        using ManualResetEventSlim inside = new();
        using ManualResetEventSlim go = new();
        _disk.OnAccess = () =>
        {
            inside.Set();
            go.Wait(TimeSpan.FromSeconds(30));
        };
        VirtioDriver driver = Make();
        driver.Start();
        driver.Header(In, 0);
        driver.Descriptor(0, VirtioDriver.Buffers, 16, 1, 1);
        driver.Descriptor(1, VirtioDriver.Buffers + 0x100, 512, 3, 2);
        driver.Descriptor(2, VirtioDriver.Buffers + 16, 1, 2, 0);
        driver.Offer(0);
        driver.Set(0x3000, 2, 0);
        Assert.True(inside.Wait(TimeSpan.FromSeconds(30), TestContext.Current.CancellationToken));
        driver.Set(0x14, 1, 0);
        byte[] before = [.. _memory.Memory];
        go.Set();
        Assert.True(driver.Function.WaitIdle(TimeSpan.FromSeconds(30)));
        Assert.Equal(before, _memory.Memory);
        Assert.False(_line.Level);

        _disk.OnAccess = null;
        driver.Start();
        Assert.Equal((byte)0, driver.Request(In, 0, 512, deviceWrites: true).Status);
    }

    [Fact]
    public void The_window_in_configuration_space_reaches_the_structures()
    {
        VirtioDriver driver = Make();
        VirtioPciFunction function = driver.Function;
        int window = function.Capabilities.Last(capability => capability.Id == 9).Offset;
        function.WriteConfig(window + 4, 1, 0);
        function.WriteConfig(window + 8, 4, 0x2000);
        function.WriteConfig(window + 12, 4, 4);
        Assert.Equal(128u, function.ReadConfig(window + 16, 4));
        function.WriteConfig(window + 8, 4, 0x14);
        function.WriteConfig(window + 12, 4, 1);
        function.WriteConfig(window + 16, 1, 3);
        Assert.Equal(3, driver.Status);
        Assert.Equal(3u, function.ReadConfig(window + 16, 1));
        function.WriteConfig(window + 4, 1, 4);
        function.WriteConfig(window + 16, 1, 0);
        Assert.Equal(3, driver.Status);
        Assert.Equal(0u, function.ReadConfig(window + 16, 4));
    }

    [Fact]
    public void An_interrupt_status_read_through_the_window_is_not_lost_when_configuration_is_written_meanwhile()
    {
        VirtioDriver driver = Make();
        PciHierarchy hierarchy = new();
        hierarchy.Root.Add(0x08, driver.Function);
        hierarchy.Root.Add(0x10, new PciFunction("other", new PciIdentity(1, 2, 0xFF0000)));
        Bdf place = driver.Function.Bdf;
        driver.Start();
        int window = driver.Function.Capabilities.Last(capability => capability.Id == 9).Offset;
        hierarchy.ConfigWrite(place, window + 4, 1, 0);
        hierarchy.ConfigWrite(place, window + 8, 4, 0x1000);
        hierarchy.ConfigWrite(place, window + 12, 4, 1);

        // Reading the status lets the line go, so the write comes within the read. The lock may be taken again by the thread that has it; to the hierarchy
        // the write is another's.
        WritingLine line = new(() => hierarchy.ConfigWrite(new Bdf(0x10), PciRegisters.InterruptLine, 1, 5));
        driver.Function.IntxLine = line;
        Assert.Equal((byte)0, driver.Request(FlushType, 0, 0, deviceWrites: false).Status);
        Assert.Equal(1u, hierarchy.ConfigRead(place, window + 16, 1));
        Assert.Equal(1, line.Writes);
        Assert.Equal(0u, hierarchy.ConfigRead(place, window + 16, 1));
    }

    [Fact]
    public void Resetting_the_function_resets_the_transport()
    {
        VirtioDriver driver = Make();
        driver.Start();
        driver.Request(In, 0, 512, deviceWrites: true);
        driver.Function.Reset(ResetKind.Conventional);
        Assert.Equal(0, driver.Status);
        Assert.False(_line.Level);
        driver.Set(0x16, 2, 0);
        Assert.Equal(0u, driver.Get(0x1C, 2) & 0xFFFF);
    }

    /// <summary>A line that writes whenever it is let go.</summary>
    private sealed class WritingLine(Action write) : IInterruptLine
    {
        public int Writes { get; private set; }

        public void Set(bool asserted)
        {
            if (!asserted)
            {
                Writes++;
                write();
            }
        }
    }
}
