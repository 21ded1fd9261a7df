using System.Buffers.Binary;
using Aperture.Linux;
using Aperture.VfioUser.Server;

namespace Aperture.VfioUser.Tests;

/// <summary>Software that knows nothing of this server: QEMU as its client, driven register by register.</summary>
[Collection(nameof(Alone))]
public sealed class QemuClientTests : IDisposable
{
    private const ulong Registers = 0xE000_0000;
    private const ulong Memory = 0xE100_0000;

    private readonly TemporaryFolder _folder = new();
    private readonly Reports _reports = new();

    public void Dispose() => _folder.Dispose();

    [Theory]
    [InlineData(true, true)]
    [InlineData(true, false)]
    [InlineData(false, true)]
    [InlineData(false, false)]
    public void Qemu_takes_the_device_and_its_guest_reaches_it(bool mappable, bool sharedMemory)
    {
        Assert.SkipWhen(Qemu.Missing is not null, Qemu.Missing ?? "");
        using ServedSample device = ServedSample.Function(mappable);
        string path = Path.Combine(_folder.Path, "s");
        using VfioUserServer server = VfioUserServer.Listen(path, device, _reports);

        // Twice: a client that comes back.
        for (int round = 1; round <= 2; round++)
        {
            using (Qemu qemu = Qemu.Start(_folder.Path, path, sharedMemory))
            {
                Assert.Equal(0x0DEF_1AB4u, qemu.ReadConfig(0));
                device.Await("reset", round);
                qemu.WriteConfig(0x10, (uint)Registers);
                qemu.WriteConfig(0x18, (uint)Memory);

                // The device holds what is written; its status says that it has capabilities.
                qemu.WriteConfig(0x04, 0x0010_0006);
                UsesRegisters(qemu, device);
                UsesMappedMemory(qemu, device, mappable);
                UsesGuestMemory(qemu, device, sharedMemory);
                RaisesInterrupts(qemu, device);
            }

            device.Await("disconnected", round);
        }

        Assert.Empty(_reports.Notices);
    }

    private static void UsesRegisters(Qemu qemu, ServedSample device)
    {
        for (uint i = 0; i < 16; i++)
        {
            qemu.Write(Registers + (4 * i), 0xAB00_0000 + i);
            Assert.Equal(0xAB00_0000 + i, qemu.Read(Registers + (4 * i)));
        }

        Assert.Equal(0xAB00_0005, BinaryPrimitives.ReadUInt32LittleEndian(device.Registers.AsSpan(20)));
    }

    private static void UsesMappedMemory(Qemu qemu, ServedSample device, bool mappable)
    {
        qemu.Write(Memory + 0x3010, 0x1357_9BDF);
        Assert.Equal(0x1357_9BDFu, qemu.Read(Memory + 0x3010));
        byte[] seen = new byte[4];
        if (mappable)
        {
            Assert.Equal(4, FileDescriptors.TryReadAt(device.File, ServedSample.MemoryOffset + 0x3010, seen));
        }
        else
        {
            Assert.Equal(0, device.Read(2, 0x3010, seen));
        }

        Assert.Equal(0x1357_9BDFu, BinaryPrimitives.ReadUInt32LittleEndian(seen));

        // Between the areas every access is a message; the second waits for the first, which may be posted.
        qemu.Write(Memory + 0x2020, 0x55);
        Assert.Equal(0x55u, qemu.Read(Memory + 0x2020));
        Assert.Equal(0, device.Read(2, 0x2020, seen));
        Assert.Equal(0x55, seen[0]);
    }

    private static void UsesGuestMemory(Qemu qemu, ServedSample device, bool sharedMemory)
    {
        qemu.Write(0x10_0000, 0xFEED_0001);
        byte[] seen = new byte[4];

        // From a thread of the device's own, and within a register write.
        Assert.True(device.Client!.Memory.Read(new GuestAddress(0x10_0000), seen));
        Assert.Equal(0xFEED_0001, BinaryPrimitives.ReadUInt32LittleEndian(seen));
        bool written = !sharedMemory && device.Client.Memory.Write(new GuestAddress(0x10_0004), [1, 2, 3, 4]);
        if (sharedMemory)
        {
            // Where it takes a message, QEMU answers only after the write was.
            device.OnWrite = (client, _) => written = client.Memory.Write(new GuestAddress(0x10_0004), [1, 2, 3, 4]);
            qemu.Write(Registers + 0x40, 1);
            Assert.Equal(1u, qemu.Read(Registers + 0x40));
            device.OnWrite = null;
        }

        Assert.True(written);
        Assert.Equal(0x0403_0201u, qemu.Read(0x10_0004));
        Assert.False(device.Client.Memory.Read(new GuestAddress(1UL << 40), seen));
    }

    private static void RaisesInterrupts(Qemu qemu, ServedSample device)
    {
        // Vector 3 writes 0x77 to guest memory, as a message does.
        qemu.Write(0x20_0000, 0);
        ulong entry = Registers + 0x800 + (3 * 16);
        qemu.Write(entry, 0x20_0000);
        qemu.Write(entry + 4, 0);
        qemu.Write(entry + 8, 0x77);
        qemu.Write(entry + 12, 0);
        qemu.WriteConfig(0x40, 0x8007_0011);
        Assert.True(SpinWait.SpinUntil(() => device.Client!.Signal(2, 3), 20_000));
        Assert.True(SpinWait.SpinUntil(() => qemu.Read(0x20_0000) == 0x77, 20_000));
        qemu.WriteConfig(0x40, 0x0007_0011);
        Assert.True(SpinWait.SpinUntil(() => !device.Client!.Signal(2, 3), 20_000));
    }
}
