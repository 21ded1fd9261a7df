using Aperture.Devices.TestDevice;
using Aperture.Mediation.Mediators;

namespace Aperture.Mediation.Tests;

/// <summary>Software that knows nothing of mediators: QEMU as the guests' monitor, driven register by register.</summary>
[Collection(nameof(Alone))]
public sealed class QemuTests : IDisposable
{
    private const ulong Page = GrantBook.Page;
    private const ulong Registers = 0xE000_0000;
    private const ulong Window = 0xE100_0000;
    private const ulong Message = 0x20_0000;

    private readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [Fact]
    public void Two_qemu_guests_divide_memory_and_see_each_others_revocations()
    {
        Assert.SkipWhen(Qemu.Missing is not null, Qemu.Missing ?? "");
        PartitionMediator mediator = new(8 * Page);
        using Place place = new(mediator, guests: 2);

        // Twice: guests that come back.
        for (int round = 0; round < 2; round++)
        {
            using (Qemu one = Start(place.Paths[0]))
            using (Qemu other = Start(place.Paths[1]))
            {
                Assert.Equal(0x0002_A9E7u, one.ReadConfig(0));
                Assert.Equal(PartitionRegisters.Magic, one.Read(Registers));
                Unmask(one, Registers + 0x1000);
                Assert.Equal(uint.MaxValue, one.Read(Window));
                Claim(one, 8);
                for (uint page = 0; page < 8; page++)
                {
                    Assert.Equal(0u, one.Read(Window + (page * Page)));
                    one.Write(Window + (page * Page) + 8, 0x1000 + page);
                }

                Claim(other, 8);
                Assert.Equal(0u, other.Read(Window + 8));
                other.Write(Window + 8, 0x2000);

                // The one's first page is the other's, and the one was told by a message.
                Assert.True(SpinWait.SpinUntil(() => one.Read(Message) == 0x77, 20_000));
                Assert.Equal((1u, 0u), (one.Read(Registers + PartitionRegisters.TakenPages), one.Read(Registers + PartitionRegisters.NextTaken)));
                Assert.Equal((0x1007u, 0x2000u), (one.Read(Window + (7 * Page) + 8), other.Read(Window + 8)));
                Assert.Equal((7u, 1u), (one.Read(Registers + PartitionRegisters.HeldPages), other.Read(Registers + PartitionRegisters.HeldPages)));
            }

            place.Reports.Await("mediation.ended", 2 * (round + 1));
            Assert.Equal((8, 0), (mediator.Free, place.Host.Ledger.Count));
        }

        Assert.All(place.Reports.Notices, static n => Assert.Contains("partition refuses", n, StringComparison.Ordinal));
    }

    [Fact]
    public void Qemu_takes_the_test_device_with_its_memory_its_dma_and_its_messages()
    {
        Assert.SkipWhen(Qemu.Missing is not null, Qemu.Missing ?? "");
        using Place place = new(new TestMediator());
        using Qemu guest = Start(place.Paths[0]);
        Assert.Equal(TestRegisters.Magic, guest.Read(Registers));
        guest.Write(Window + 0x5000, 0x1357_9BDF);
        Assert.Equal(0x1357_9BDFu, guest.Read(Window + 0x5000));

        guest.Write(0x10_0000, 0xFEED_0001);
        guest.Write(Registers + TestRegisters.DmaSource, 0x10_0000);
        guest.Write(Registers + TestRegisters.DmaDestination, 0x10_0100);
        guest.Write(Registers + TestRegisters.DmaLength, 4);
        guest.Write(Registers + TestRegisters.DmaCommand, (uint)TestDmaCommand.GuestToGuest);
        Assert.Equal(1u, guest.Read(Registers + TestRegisters.DmaStatus));
        Assert.Equal(0xFEED_0001u, guest.Read(0x10_0100));

        Unmask(guest, Registers + 0x2000);
        guest.Write(Registers + TestRegisters.InterruptTrigger, 0);
        Assert.True(SpinWait.SpinUntil(() => guest.Read(Message) == 0x77, 20_000));
        Assert.Empty(place.Reports.Notices);
    }

    private Qemu Start(string path)
    {
        Qemu qemu = Qemu.Start(_folder.Path, path, sharedMemory: true);
        qemu.WriteConfig(0x10, (uint)Registers);
        qemu.WriteConfig(0x18, (uint)Window);
        qemu.WriteConfig(0x1C, 0);
        qemu.WriteConfig(0x04, 0x0000_0006);
        return qemu;
    }

    private static void Claim(Qemu qemu, uint pages)
    {
        qemu.Write(Registers + PartitionRegisters.First, 0);
        qemu.Write(Registers + PartitionRegisters.Count, pages);
        qemu.Write(Registers + PartitionRegisters.Doorbell, (uint)PartitionCommand.Claim);
        Assert.Equal(0u, qemu.Read(Registers + PartitionRegisters.Status));
    }

    // Vector 0 writes 0x77 to guest memory, as a message does.
    private static void Unmask(Qemu qemu, ulong table)
    {
        qemu.Write(Message, 0);
        qemu.Write(table, (uint)Message);
        qemu.Write(table + 4, 0);
        qemu.Write(table + 8, 0x77);
        qemu.Write(table + 12, 0);
        int capability = (int)(qemu.ReadConfig(0x34) & 0xFC);
        qemu.WriteConfig(capability, qemu.ReadConfig(capability) | 0x8000_0000);
    }
}
