using System.Buffers.Binary;
using Aperture.TestKit.Devices;
using Aperture.Virtio.Block;
using Aperture.Virtio.Tests.Fakes;
using Aperture.Virtio.Transport;

namespace Aperture.Virtio.Tests;

/// <summary>A queue against a driver that writes anything: what the device does is what an independent reading of the rings says.</summary>
public class VirtioQueueTests
{
    private const int MemorySize = 0x40000;

    // What a correct device makes of the chain at a head: its buffers, or null when the chain breaks a rule.
    private static List<(ulong Address, uint Length, bool Write)>? Walk(byte[] memory, int head, ushort size, bool indirectAllowed)
    {
        List<(ulong, uint, bool)> buffers = [];
        ulong table = VirtioDriver.Descriptors;
        uint count = size;
        int index = head;
        bool inside = false;
        HashSet<int> seen = [];
        while (true)
        {
            if (index >= count || !seen.Add(index))
            {
                return null;
            }

            ulong at = table + ((ulong)index * 16);
            if (at > MemorySize - 16)
            {
                return null;
            }

            ReadOnlySpan<byte> bytes = memory.AsSpan((int)at, 16);
            ulong address = BinaryPrimitives.ReadUInt64LittleEndian(bytes);
            uint length = BinaryPrimitives.ReadUInt32LittleEndian(bytes[8..]);
            ushort flags = BinaryPrimitives.ReadUInt16LittleEndian(bytes[12..]);
            if ((flags & 4) != 0)
            {
                if (inside || !indirectAllowed || (flags & 1) != 0 || length == 0 || length % 16 != 0 || length > 1 << 20)
                {
                    return null;
                }

                (table, count, index, inside) = (address, length / 16, 0, true);
                seen.Clear();
                continue;
            }

            bool write = (flags & 2) != 0;
            bool wraps = length != 0 && address + (length - 1) < address;
            if (wraps || buffers.Count == 260 || (!write && buffers.Exists(b => b.Item3)))
            {
                return null;
            }

            buffers.Add((address, length, write));
            if ((flags & 1) == 0)
            {
                return buffers;
            }

            index = BinaryPrimitives.ReadUInt16LittleEndian(bytes[14..]);
        }
    }

    private static void RandomChains(VirtioDriver driver, Random random)
    {
        foreach (int table in new[] { VirtioDriver.Descriptors, 0x6000 })
        {
            for (int i = 0; i < 16; i++)
            {
                ulong address = random.Next(12) switch
                {
                    0 => (ulong)random.NextInt64() * 2,
                    1 => ulong.MaxValue - (ulong)random.Next(64),
                    2 => MemorySize - (ulong)random.Next(64),
                    3 => 0x6000,
                    _ => (ulong)(VirtioDriver.Buffers + (random.Next(64) * 64)),
                };
                uint length = random.Next(10) switch
                {
                    0 => (uint)random.Next(),
                    1 => 0,
                    2 => 512,
                    3 => (uint)(16 * random.Next(17)),
                    _ => (uint)random.Next(64),
                };
                int flags = random.Next(10) == 0 ? random.Next(65536) : random.Next(4) & (random.Next(3) == 0 ? ~1 : ~0) | (random.Next(12) == 0 ? 4 : 0);
                driver.Descriptor(i, address, length, flags, random.Next(20) == 0 ? random.Next(65536) : random.Next(16), table);
            }
        }
    }

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(3)]
    [InlineData(4)]
    public void Random_chains_reach_the_device_as_the_specification_reads_them_or_need_a_reset(int seed)
    {
        Random random = new(seed);
        FakeDma memory = new(MemorySize);
        Recorder recorder = new();
        using VirtioPciFunction function = new("q", recorder, _ => memory, null);
        VirtioDriver driver = new(function, memory);
        int legal = 0;
        int broken = 0;
        for (int round = 0; round < 3000; round++)
        {
            bool indirect = random.Next(3) != 0;
            RandomChains(driver, random);
            driver.Start(indirect ? VirtioDriver.Version1 | VirtioDriver.Indirect : VirtioDriver.Version1);
            recorder.Seen.Clear();
            int head = random.Next(18);
            List<(ulong Address, uint Length, bool Write)>? expected = Walk(memory.Memory, head, 16, indirect);
            driver.Offer(head);
            driver.Ring();
            if (expected is null)
            {
                broken++;
                Assert.Empty(recorder.Seen);
                Assert.Equal(0x4F, driver.Status);
                Assert.Equal(0, driver.UsedIndex);
            }
            else
            {
                legal++;
                ulong readable = expected.Where(b => !b.Write).Aggregate(0UL, (sum, b) => sum + b.Length);
                ulong writable = expected.Where(b => b.Write).Aggregate(0UL, (sum, b) => sum + b.Length);
                Assert.Equal([(expected.Count, readable, writable)], recorder.Seen);
                Assert.Equal(0xF, driver.Status);
                Assert.Equal(1, driver.UsedIndex);
                Assert.Equal((uint)head, BinaryPrimitives.ReadUInt32LittleEndian(memory.Memory.AsSpan(VirtioDriver.Used + 4)));
                Assert.Equal(7u, BinaryPrimitives.ReadUInt32LittleEndian(memory.Memory.AsSpan(VirtioDriver.Used + 8)));
            }
        }

        Assert.True(legal > 300 && broken > 300, $"{legal} legal, {broken} broken");
    }

    [Theory]
    [InlineData(11)]
    [InlineData(12)]
    public void Random_chains_to_a_disk_write_guest_memory_only_where_they_say(int seed)
    {
        Random random = new(seed);
        FakeDma memory = new(MemorySize);
        FakeStorage disk = new(64);
        random.NextBytes(disk.Bytes);
        using VirtioPciFunction function = new("q", new VirtioBlock(disk, "s"), _ => memory, null);
        VirtioDriver driver = new(function, memory);
        int reads = 0;
        for (int round = 0; round < 2000; round++)
        {
            random.NextBytes(memory.Memory.AsSpan(VirtioDriver.Buffers, 0x4000));
            RandomChains(driver, random);
            int type = random.Next(4);
            driver.Header(type == 3 ? 8u : (uint)type, (ulong)random.Next(70));
            if (random.Next(2) == 0)
            {
                driver.Descriptor(0, VirtioDriver.Buffers, 16, 1, 1 + random.Next(15));
            }

            driver.Start();
            byte[] before = [.. memory.Memory];
            List<(ulong Address, uint Length, bool Write)>? chain = Walk(before, 0, 16, true);
            driver.Offer(0);
            before = [.. memory.Memory];
            driver.Ring();
            reads += driver.UsedIndex;
            HashSet<int> allowed = [.. Enumerable.Range(VirtioDriver.Used, 4 + (8 * 16) + 2)];
            foreach ((ulong address, uint length, bool write) in chain ?? [])
            {
                for (ulong i = 0; write && i < length && address < MemorySize && address + i < MemorySize; i++)
                {
                    allowed.Add((int)(address + i));
                }
            }

            for (int i = 0; i < MemorySize; i++)
            {
                if (before[i] != memory.Memory[i] && !allowed.Contains(i))
                {
                    Assert.Fail($"round {round}: byte 0x{i:x} changed");
                }
            }
        }

        Assert.True(reads > 100, $"{reads} requests were carried out");
    }

    [Fact]
    public void Random_accesses_to_the_BAR_never_throw_and_a_reset_restores_order()
    {
        Random random = new(99);
        FakeDma memory = new(MemorySize);
        FakeStorage disk = new(64);
        using VirtioPciFunction function = new("q", new VirtioBlock(disk, "s"), _ => memory, null) { IntxLine = new FakeLine() };
        IAccessHandler bar = function.Handler(0)!;
        random.NextBytes(memory.Memory);
        for (int i = 0; i < 300_000; i++)
        {
            ulong offset = random.Next(8) == 0 ? (ulong)random.Next(0x4100) : (ulong)random.Next(0x40) + (random.Next(6) == 0 ? 0x3000UL : 0);
            int size = 1 << random.Next(4);
            ulong value = random.Next(2) == 0 ? (ulong)random.Next(32) : (ulong)random.NextInt64();
            bar.Read(offset, size, out _);
            bar.Write(offset, size, value);
            function.WriteConfig(random.Next(256), 1 << random.Next(3), (uint)random.Next());
            function.ReadConfig(random.Next(256), 1 << random.Next(3));
            if (random.Next(100) == 0)
            {
                bar.Write(0x14, 1, 0xF);
            }
        }

        Assert.True(function.WaitIdle(TimeSpan.FromSeconds(30)));
        function.Reset(Aperture.Pci.ResetKind.Cold);
        VirtioDriver driver = new(function, memory);
        driver.Start();
        Assert.Equal((byte)0, driver.Request(0, 0, 512, deviceWrites: true).Status);
    }

    [Fact]
    public void Requests_offered_together_are_returned_in_order_past_the_wrap_of_the_index()
    {
        FakeDma memory = new(MemorySize);
        Recorder recorder = new();
        using VirtioPciFunction function = new("q", recorder, _ => memory, null);
        VirtioDriver driver = new(function, memory);
        driver.Start(VirtioDriver.Version1);
        for (int i = 0; i < 16; i++)
        {
            driver.Descriptor(i, (ulong)VirtioDriver.Buffers, 1, 2, 0);
        }

        for (int round = 0; round < 65536 / 16 + 2; round++)
        {
            for (int i = 0; i < 16; i++)
            {
                driver.Offer((i * 7 + round) % 16);
            }

            driver.Ring();
            Assert.Equal((ushort)((round + 1) * 16), driver.UsedIndex);
            for (int i = 0; i < 16; i++)
            {
                Assert.Equal((i * 7 + round) % 16, memory.Memory[VirtioDriver.Used + 4 + (i * 8)]);
            }
        }
    }

    [Fact]
    public void An_available_index_further_ahead_than_the_queue_is_long_needs_a_reset()
    {
        FakeDma memory = new(MemorySize);
        using VirtioPciFunction function = new("q", new Recorder(), _ => memory, null);
        VirtioDriver driver = new(function, memory);
        driver.Start(VirtioDriver.Version1);
        memory.Memory[VirtioDriver.Available + 2] = 17;
        driver.Ring();
        Assert.Equal(0x4F, driver.Status);
        driver.Ring();
        Assert.Equal(0, driver.UsedIndex);
    }

    // Takes every chain and says what it saw.
    private sealed class Recorder : VirtioDevice
    {
        public List<(int Count, ulong Readable, ulong Writable)> Seen { get; } = [];

        public override ushort DeviceType => 63;

        public override uint ClassCode => 0xFF0000;

        public override ulong Features => 0;

        public override int QueueCount => 1;

        public override uint ConfigLength => 4;

        public override byte ReadConfig(uint offset) => 0;

        public override bool Handle(int queue, DescriptorChain chain, ulong features, out uint written)
        {
            Seen.Add((chain.Count, chain.ReadableLength, chain.WritableLength));
            written = 7;
            return true;
        }
    }
}
