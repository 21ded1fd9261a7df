using System.Text.Json;
using Aperture.Mediation;
using Aperture.Mediation.Mediators;
using Iced.Intel;

namespace Aperture.Machine.Tests.Guests;

/// <summary>Guests whose touches of a mediated device's memory are page faults, as real code.</summary>
[Collection(LocalKvm.Name)]
public sealed class FaultedGuestTests : IDisposable
{
    private const uint Registers = 0xE000_0000;
    private const uint Window = 0xE010_0000;
    private const uint Page = 0x1000;

    private readonly TemporaryFolder _folder = new();
    private readonly NoticedEvents _reports = new();
    private readonly MediationHost _host;

    public FaultedGuestTests()
    {
        _host = new MediationHost(new PartitionMediator(8 * Page, trust: true), _reports);
        _host.Listen(Socket);
    }

    private string Socket => Path.Join(_folder.Path, "a.sock");

    public void Dispose()
    {
        _host.Dispose();
        _folder.Dispose();
    }

    [Fact]
    public void What_a_guest_claims_it_reaches_by_itself_and_what_it_does_not_claim_reads_ones()
    {
        using Guest guest = new(
            Payload.Build(code =>
            {
                Program(code);
                Claim(code, 0, 4);
                Payload.ExpectMemory(code, Window + (2 * Page), 0, 2);
                Payload.Store(code, Window + (2 * Page) + 4, 0xBEEF);
                Payload.ExpectMemory(code, Window + (2 * Page) + 4, 0xBEEF, 3);
                Payload.ExpectMemory(code, Window + (6 * Page), uint.MaxValue, 4);
                Payload.Store(code, Window + (6 * Page), 1);
                Claim(code, 6, 1);
                Payload.ExpectMemory(code, Window + (6 * Page), 0, 5);
            }),
            $"--device vfio-user,socket={Socket},id=part,addr=04.0");
        Assert.Equal(new MachineOutcome(Payload.Success, "the guest wrote the debug-exit port"), guest.Run());
        Assert.SkipWhen(guest.Events.Any(static e => e.Contains("\"vfio-user.trapped\"", StringComparison.Ordinal)), "this user may not handle page faults");
        Assert.Contains(guest.Events, static e => e.Contains("slot.added", StringComparison.Ordinal) && e.Contains("0xe0100000", StringComparison.Ordinal));
        string verified = Assert.Single(guest.Events, static e => e.Contains("\"map.verified\",\"when\":\"end\"", StringComparison.Ordinal));
        Assert.Contains("\"count\":0", verified, StringComparison.Ordinal);
        Assert.Single(guest.Events, static e => e.Contains("\"memory.refused\"", StringComparison.Ordinal));

        // No access came to this process.
        using JsonDocument totals = JsonDocument.Parse(Assert.Single(guest.Events, static e => e.Contains("\"machine.totals\"", StringComparison.Ordinal)));
        string?[] accessed = [.. totals.RootElement.GetProperty("regions").EnumerateArray().Select(static r => r.GetProperty("region").GetString())];
        Assert.Contains("part bar0+0x0", accessed);
        Assert.DoesNotContain(accessed, static name => name!.StartsWith("part bar2", StringComparison.Ordinal));
    }

    private static void Program(Assembler code)
    {
        Payload.ConfigWrite(code, 4, 0x10, Registers);
        Payload.ConfigWrite(code, 4, 0x18, Window);
        Payload.ConfigWrite(code, 4, 4, 6);
        Payload.ExpectMemory(code, Registers, PartitionRegisters.Magic, 1);
    }

    private static void Claim(Assembler code, uint first, uint count)
    {
        Payload.Store(code, Registers + (uint)PartitionRegisters.First, first);
        Payload.Store(code, Registers + (uint)PartitionRegisters.Count, count);
        Payload.Store(code, Registers + (uint)PartitionRegisters.Doorbell, (uint)PartitionCommand.Claim);
    }
}
