using Aperture.Pci;
using Aperture.Pci.Ports;
using Aperture.Pci.Registers;
using Aperture.TestKit.Parts.Assigned;

namespace Aperture.Assignment.Tests;

/// <summary>The order between the guest's map and the device's own registers: the device decodes before it is mapped and until it is no longer.</summary>
public class AssignedOrderTests
{
    private const string CommandWrite = "write 7 0x4 ";
    private const string PowerWrite = "write 7 0x44 ";

    private static Bench Started()
    {
        Bench bench = Bench.Nvme();
        bench.Enable();
        bench.Log.Clear();
        return bench;
    }

    private static string[] Steps(Bench bench) =>
        [.. bench.Log.Where(s => s.StartsWith("write 7", StringComparison.Ordinal) || s is "map follows" or "reset" or "unroute"
            || s.StartsWith("disable", StringComparison.Ordinal))];

    [Fact]
    public void The_device_starts_with_everything_off_and_awake()
    {
        using Bench bench = new(SampleConfig.Teaching());
        Assert.Equal("write 7 0x4 0000", bench.Log[0]);
    }

    [Fact]
    public void Decoding_is_given_to_the_device_before_the_map_follows()
    {
        using Bench bench = Bench.Nvme();
        bench.Log.Clear();
        bench.Enable();
        Assert.Equal([CommandWrite + "0600", "map follows"], Steps(bench));
    }

    [Fact]
    public void Decoding_is_taken_from_the_device_after_the_map_followed()
    {
        using Bench bench = Started();
        bench.Write(PciRegisters.Command, 2, 0);
        Assert.Equal(["map follows", CommandWrite + "0000"], Steps(bench));
    }

    [Fact]
    public void A_write_that_gives_and_takes_gives_before_and_takes_after()
    {
        using Bench bench = Started();
        bench.Write(PciRegisters.Command, 2, (uint)(PciCommand.IoSpace | PciCommand.BusMaster));
        Assert.Equal([CommandWrite + "0700", "map follows", CommandWrite + "0500"], Steps(bench));
    }

    [Fact]
    public void D3hot_reaches_the_device_after_the_map_followed_and_D0_before()
    {
        using Bench bench = Started();
        bench.Write(0x44, 2, 3);

        // INTx first: a function in D3hot must not drive it.
        Assert.Equal(["disable 0", "map follows", PowerWrite + "0300"], Steps(bench));
        bench.Log.Clear();
        bench.Write(0x44, 2, 0);
        Assert.Equal([PowerWrite + "0000", "map follows"], Steps(bench));
    }

    [Fact]
    public void Function_level_reset_takes_interrupts_then_the_map_then_decoding_and_then_resets()
    {
        using Bench bench = Started();
        bench.Program(0, masked: false);
        bench.SetMsix(true);
        bench.Log.Clear();
        bench.Write(0x78, 2, 0x8000);
        string[] steps = Steps(bench);
        Assert.Equal(
            ["unroute", "disable 2", "map follows", CommandWrite + "0000", PowerWrite + "0000", "reset"],
            steps[1..7]);
        Assert.Equal(0u, bench.Read(PciRegisters.Command, 2));
        Assert.Single(bench.Log, "reset");
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void After_a_reset_device_control_of_the_device_is_what_the_guest_reads(bool function)
    {
        using Bench bench = Started();
        uint atStart = bench.Read(0x78, 2);
        bench.Write(0x78, 2, 0x501F);
        bench.Write(0x98, 2, 0x0349);
        Assert.Equal((0x50, 0x49), (bench.Device.Config[0x79] & 0x70, bench.Device.Config[0x98]));

        // The double keeps its registers over a reset, as the kernel does for a device.
        if (function)
        {
            bench.Write(0x78, 2, 0x8000);
        }
        else
        {
            bench.Pci.Reset(ResetKind.Cold);
            bench.Pci.ResetApplied();
        }

        Assert.Equal(atStart, bench.Function.ReadConfig(0x78, 2));
        Assert.Equal(atStart & 0x791F, BitConverter.ToUInt16(bench.Device.Config, 0x78) & 0x791Fu);
        Assert.Equal(bench.Function.ReadConfig(0x98, 2) & 0x03DF, BitConverter.ToUInt16(bench.Device.Config, 0x98) & 0x03DFu);
    }

    [Fact]
    public void A_hot_reset_of_the_port_resets_the_device_after_the_map_followed()
    {
        using Bench bench = Started();
        int reset = 0;
        bench.Pci.WriteSink = new Sink(() => reset = bench.Log.Count(s => s == "reset"));
        bench.Pci.ConfigWrite(bench.Port!.Bdf, PciRegisters.BridgeControl, 2, PciBridge.SecondaryBusReset);
        Assert.Equal(0, reset);
        Assert.Single(bench.Log, "reset");
    }

    [Fact]
    public void A_reset_of_the_machine_resets_the_device_once_the_map_followed()
    {
        using Bench bench = Started();
        bench.Pci.Reset(ResetKind.Cold);
        Assert.DoesNotContain("reset", bench.Log);
        bench.Pci.ResetApplied();
        Assert.Single(bench.Log, "reset");
        bench.Pci.ResetApplied();
        Assert.Single(bench.Log, "reset");
    }

    [Fact]
    public void All_functions_of_one_reset_are_idle_before_the_first_is_reset_and_busy_again_with_their_driver()
    {
        using Bench bench = Started();
        FakeDevice second = SampleConfig.Teaching();
        using AssignedFunction audio = new(second, new AssignedOptions("audio"), new FakeGuest(), new RecordingEvents());
        bench.Pci.Root.Add(0x18, audio);
        bench.Pci.ConfigWrite(audio.Bdf, PciRegisters.Command, 2, (uint)PciCommand.BusMaster);
        Assert.False(bench.Device.IsIdle || second.IsIdle);
        bench.Pci.Reset(ResetKind.Cold);
        Assert.True(bench.Device.IsIdle && second.IsIdle);
        Assert.DoesNotContain("reset", bench.Log.Concat(second.Log));
        bench.Pci.ResetApplied();
        Assert.Equal(2, bench.Log.Concat(second.Log).Count(step => step == "reset"));
        Assert.True(bench.Device.IsIdle && second.IsIdle);

        bench.Port!.ProgramBusNumbers(0, 1, 1);

        // A driver that turns something on, and one that only looks.
        bench.Enable();
        bench.Pci.ConfigWrite(audio.Bdf, PciRegisters.Command, 2, (uint)PciCommand.InterruptDisable);
        Assert.False(bench.Device.IsIdle);
        Assert.True(second.IsIdle);

        // What was turned off again keeps its state until a reset.
        bench.Enable(PciCommand.None);
        Assert.False(bench.Device.IsIdle);
    }

    [Fact]
    public void A_reset_that_the_host_refuses_is_reported()
    {
        using Bench bench = Started();
        bench.Device.ResetErrno = 25;
        bench.Write(0x78, 2, 0x8000);
        Assert.Contains("reset failed 25", bench.Events.Seen);
    }

    [Fact]
    public void Programming_by_the_machine_reaches_the_device_too()
    {
        using Bench bench = Bench.Nvme();
        bench.Function.ProgramCommand(PciCommand.MemorySpace, PciCommand.MemorySpace);
        Assert.Equal(2, bench.Device.Config[4]);
    }

    [Fact]
    public void Bars_and_the_rom_never_reach_the_device()
    {
        using Bench bench = new(SampleConfig.Network());
        for (int offset = 0x10; offset < 0x34; offset += 4)
        {
            bench.Write(offset, 4, 0xFFFF_FFFF);
            bench.Write(offset, 4, 0xFEB0_0001);
        }

        Assert.DoesNotContain(bench.Device.ConfigWrites, w => w.Offset is >= 0x10 and < 0x34);
    }

    private sealed class Sink(Action written) : IConfigWriteSink
    {
        public void Written(PciFunction function, ConfigChange change, int offset, int size, uint value) => written();
    }
}
