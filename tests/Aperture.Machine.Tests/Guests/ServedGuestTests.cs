using Aperture.Devices.TestDevice;
using Aperture.Machine.Tests.Fakes;
using Iced.Intel;
using static Iced.Intel.AssemblerRegisters;

namespace Aperture.Machine.Tests.Guests;

/// <summary>Guests with a device that another process serves, as real code.</summary>
[Collection(LocalKvm.Name)]
public sealed class ServedGuestTests : IDisposable
{
    private const uint Registers = 0xE000_0000;
    private const uint Memory = 0xE010_0000;
    private const uint Here = 0x1400;
    private const uint There = 0x1600;

    private const uint Ids = 0x0001_0000 | ServedTestDevice.Vendor;

    private readonly TemporaryFolder _folder = new();
    private readonly ServedTestDevice _served = new();

    public void Dispose()
    {
        _served.Dispose();
        _folder.Dispose();
    }

    [Theory]
    [InlineData("auto")]
    [InlineData("off")]
    public void A_served_device_has_registers_memory_and_DMA(string shared)
    {
        using Guest guest = new(
            Payload.Build(code =>
            {
                Program(code);
                Payload.Store(code, Registers + TestRegisters.Scratch, 0xC0FFEE);
                Payload.ExpectMemory(code, Registers + TestRegisters.Scratch, 0xC0FFEE, 2);
                Payload.ExpectMemory(code, Memory + 0x1234, 0, 3);
                Payload.Store(code, Memory + 0x1234, 0xBEEF);
                Payload.ExpectMemory(code, Memory + 0x1234, 0xBEEF, 4);
                Payload.Store(code, Here, 0x1234_5678);
                Copy(code, Here, There, 3);
                Payload.ExpectMemory(code, Registers + TestRegisters.DmaStatus, 1, 5);
                Payload.ExpectMemory(code, There, 0x1234_5678, 6);
            }),
            $"--device {_served.Option()}", $"--memory size=16M,shared={shared}");
        Assert.Equal(new MachineOutcome(Payload.Success, "the guest wrote the debug-exit port"), guest.Run());

        // The memory is a slot, and what the server reaches is what the map has.
        Assert.Contains(guest.Events, e => e.Contains("slot.added", StringComparison.Ordinal) && e.Contains("0xe0100000", StringComparison.Ordinal));
        string verified = Assert.Single(guest.Events, e => e.Contains("\"map.verified\",\"when\":\"end\"", StringComparison.Ordinal));
        Assert.Contains("\"count\":0", verified, StringComparison.Ordinal);
        Assert.Equal(shared == "off" ? 1 : 0, guest.Events.Count(e => e.Contains("\"vfio-user.unshared\"", StringComparison.Ordinal)));
    }

    [Fact]
    public void A_vector_that_the_server_fires_runs_the_guests_handler()
    {
        const byte Vector = 0x41;
        Guest.Succeeds(
            Payload.Build(code =>
            {
                Payload.TakeInterrupts(code, Vector, body => Payload.Exit(body, 0x10));
                Program(code);
                Payload.ConfigRead(code, 4, ServedTestDevice.MsixCapability);
                code.and(eax, 0xFF);
                Payload.Expect(code, 0x11, 2);
                const uint Entry = Registers + ServedTestDevice.MsixTable + (3 * 16);
                Payload.Store(code, Entry, 0xFEE0_0000);
                Payload.Store(code, Entry + 4, 0);
                Payload.Store(code, Entry + 8, Vector);
                Payload.Store(code, Entry + 12, 0);
                Payload.ConfigWrite(code, 4, ServedTestDevice.MsixCapability, 0x8000_0000);
                Payload.Store(code, Registers + TestRegisters.InterruptTrigger, 3);
                Payload.Spin(code);
            }),
            $"--device {_served.Option()}");
    }

    [Fact]
    public async Task A_guest_lives_through_the_end_of_its_device_s_server_and_uses_the_next_one()
    {
        using Guest guest = new(
            Payload.Build(code =>
            {
                Program(code);
                Payload.Store(code, Memory, 0xAAAA);
                Payload.ExpectMemory(code, Memory, 0xAAAA, 2);
                Tell(code, 'a');

                // All-ones, in registers, memory and configuration space; and no slot that could answer.
                Await(code, c => c.mov(eax, __dword_ptr[Memory]), uint.MaxValue);
                Await(code, c => c.mov(eax, __dword_ptr[Registers]), uint.MaxValue);
                Await(code, c => Payload.ConfigRead(c, 4, 0), uint.MaxValue);
                Payload.Store(code, Memory, 0xBBBB);
                Payload.ExpectMemory(code, Memory, uint.MaxValue, 3);
                Tell(code, 'b');
                Await(code, c => Payload.ConfigRead(c, 4, 0), Ids);
                Program(code);
                Payload.ExpectMemory(code, Memory, 0, 4);
                Payload.Store(code, Here, 0x1234_5678);
                Copy(code, Here, There, 3);
                Payload.ExpectMemory(code, There, 0x1234_5678, 5);
            }),
            $"--device {_served.Option()}", $"--device debugcon,file={Told}");
        Task<MachineOutcome> run = Task.Run(guest.Run, TestContext.Current.CancellationToken);
        await Heard("a", run);
        _served.Stop();
        await Heard("ab", run);
        _served.Start();
        Assert.Equal(new MachineOutcome(Payload.Success, "the guest wrote the debug-exit port"), await run);
        Assert.Equal(["vfio-user.gone", "vfio-user.back"], guest.Events.Where(e => e.Contains("\"notice\"", StringComparison.Ordinal))
            .Select(e => System.Text.Json.JsonDocument.Parse(e).RootElement.GetProperty("event").GetString()!));
        string verified = Assert.Single(guest.Events, e => e.Contains("\"map.verified\",\"when\":\"end\"", StringComparison.Ordinal));
        Assert.Contains("\"count\":0", verified, StringComparison.Ordinal);
    }

    private string Told => _folder.In("told");

    // What the guest has said so far; or it has ended, which its outcome tells.
    private async Task Heard(string text, Task run)
    {
        while (!run.IsCompleted && (!File.Exists(Told) || await File.ReadAllTextAsync(Told, TestContext.Current.CancellationToken) != text))
        {
            await Task.Delay(10, TestContext.Current.CancellationToken);
        }
    }

    private static void Tell(Assembler code, char letter)
    {
        code.mov(al, (byte)letter);
        code.mov(edx, 0x402);
        code.@out(dx, al);
    }

    private static void Await(Assembler code, Action<Assembler> read, uint value)
    {
        Label again = code.CreateLabel();
        code.Label(ref again);
        read(code);
        code.cmp(eax, value);
        code.jne(again);
    }

    private static void Program(Assembler code)
    {
        Payload.ConfigRead(code, 4, 0);
        Payload.Expect(code, Ids, 1);
        Payload.ConfigWrite(code, 4, 0x10, Registers);
        Payload.ConfigWrite(code, 4, 0x18, Memory);
        Payload.ConfigWrite(code, 4, 4, 6);
        Payload.ExpectMemory(code, Registers, TestRegisters.Magic, 1);
    }

    private static void Copy(Assembler code, uint from, uint to, uint command)
    {
        Payload.Store(code, Registers + TestRegisters.DmaSource, from);
        Payload.Store(code, Registers + TestRegisters.DmaDestination, to);
        Payload.Store(code, Registers + TestRegisters.DmaLength, 4);
        Payload.Store(code, Registers + TestRegisters.DmaCommand, command);
    }
}
