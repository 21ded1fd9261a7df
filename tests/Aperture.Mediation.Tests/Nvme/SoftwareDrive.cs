using System.Buffers.Binary;
using System.Text;
using Aperture.Assignment;
using Aperture.Linux;
using Aperture.Memory;

namespace Aperture.Mediation.Tests.Nvme;

/// <summary>A command as the drive got it.</summary>
internal sealed record DriveCommand(int Queue, byte Opcode, byte Flags, uint Namespace, ulong Block, uint Word12);

/// <summary>
/// An NVMe drive in software, written from the specification (NVM Express base specification 1.4): registers, an admin queue, I/O queues, blocks in an array.
/// All its DMA goes through the IOMMU that it is given. Commands are carried out as the doorbell is rung, unless it holds them.
/// </summary>
internal sealed class SoftwareDrive : IVfioDevice
{
    private const int Page = 4096;

    private readonly Lock _gate = new();
    private readonly SoftwareIommu _iommu;
    private readonly byte[] _config = new byte[256];
    private readonly Dictionary<int, Ring> _submissions = [];
    private readonly Dictionary<int, Ring> _completions = [];
    private readonly List<(Ring Queue, byte[] Entry)> _held = [];
    private readonly List<DriveCommand> _commands = [];
    private EventFd?[] _triggers = [];
    private uint _configuration;
    private uint _attributes;
    private ulong _adminSubmissions;
    private ulong _adminCompletions;

    public SoftwareDrive(SoftwareIommu iommu, int blocks, int vectors = 9)
    {
        _iommu = iommu;
        Blocks = new byte[blocks * BlockSize];
        VfioRegion none = new(0, 0, false, false, [], false);
        Regions = [.. Enumerable.Range(0, 9).Select(i => i switch
        {
            VfioRegionIndex.Bar0 => new VfioRegion(i, 0x4000, true, true, [], false),
            VfioRegionIndex.Config => new VfioRegion(i, 256, true, true, [], false),
            _ => none with { Index = i },
        })];
        Irqs = [.. Enumerable.Range(0, 5).Select(i => new VfioIrq(i, i == VfioIrqIndex.Msix ? vectors : 0, false, false, true))];
    }

    public int BlockSize { get; init; } = 512;

    public byte[] Blocks { get; }

    public ushort Optional { get; init; } = 0xC;

    public uint Format { get; init; }

    public byte Mdts { get; init; } = 7;

    public int QueuesGiven { get; init; } = 8;

    public ulong Capabilities { get; init; } = 0xFF | 1UL << 16 | 2UL << 24 | 1UL << 37;

    /// <summary>I/O commands wait for <see cref="Release"/>.</summary>
    public bool Holds { get; set; }

    /// <summary>Nothing is answered any more.</summary>
    public bool IsStuck { get; set; }

    /// <summary>CSTS.CFS.</summary>
    public bool IsBroken { get; set; }

    public bool IsDisposed { get; private set; }

    public int Resets { get; private set; }

    public bool WasShutDown { get; private set; }

    public string Name => "0000:01:00.0";

    public bool CanReset => true;

    public IReadOnlyList<VfioRegion> Regions { get; }

    public IReadOnlyList<VfioIrq> Irqs { get; }

    public bool IsResetAlong => false;

    /// <summary>Every I/O command that reached the drive.</summary>
    public DriveCommand[] Commands
    {
        get
        {
            lock (_gate)
            {
                return [.. _commands];
            }
        }
    }

    /// <summary>Numbers of the I/O submission queues that there are.</summary>
    public int[] Queues
    {
        get
        {
            lock (_gate)
            {
                return [.. _submissions.Keys.Where(static q => q != 0).Order()];
            }
        }
    }

    public bool IsBusMaster => (_config[4] & 4) != 0;

    public int HeldCount
    {
        get
        {
            lock (_gate)
            {
                return _held.Count;
            }
        }
    }

    /// <summary>Carries out what was held.</summary>
    public void Release()
    {
        lock (_gate)
        {
            (Ring Queue, byte[] Entry)[] held = [.. _held];
            _held.Clear();
            foreach ((Ring queue, byte[] entry) in held)
            {
                Complete(queue, entry, CarryOut(entry), 0);
            }
        }
    }

    public int Read(int region, ulong offset, Span<byte> destination)
    {
        lock (_gate)
        {
            if (region == VfioRegionIndex.Config)
            {
                _config.AsSpan((int)offset, destination.Length).CopyTo(destination);
                return 0;
            }

            BinaryPrimitives.WriteUInt32LittleEndian(destination, offset switch
            {
                0x00 => (uint)Capabilities,
                0x04 => (uint)(Capabilities >> 32),
                0x08 => 0x10400,
                0x14 => _configuration,
                0x1C => (_configuration & 1) | (IsBroken ? 2u : 0) | ((_configuration >> 14 & 3) != 0 ? 8u : 0),
                _ => 0,
            });
            return 0;
        }
    }

    public int Write(int region, ulong offset, ReadOnlySpan<byte> source)
    {
        lock (_gate)
        {
            if (region == VfioRegionIndex.Config)
            {
                source.CopyTo(_config.AsSpan((int)offset));
                return 0;
            }

            WriteRegister((uint)offset, BinaryPrimitives.ReadUInt32LittleEndian(source));
            return 0;
        }
    }

    public RamBlock Map(int region, VfioArea area) => throw new NotSupportedException();

    public int SetTriggers(int index, int first, ReadOnlySpan<EventFd?> triggers)
    {
        Assert.Equal((VfioIrqIndex.Msix, 0), (index, first));
        _triggers = triggers.ToArray();
        return 0;
    }

    public int DisableIrqs(int index)
    {
        _triggers = [];
        return 0;
    }

    public int SetIntxMask(bool masked) => 0;

    public int SetIntxUnmask(EventFd? unmask) => 0;

    public void SetIdle(bool idle)
    {
    }

    public int Reset()
    {
        Resets++;
        return 0;
    }

    public void Dispose() => IsDisposed = true;

    private void WriteRegister(uint offset, uint value)
    {
        switch (offset)
        {
            case 0x14:
                Configure(value);
                break;
            case 0x24:
                _attributes = value;
                break;
            case 0x28:
                _adminSubmissions = value;
                break;
            case 0x2C:
                _adminSubmissions |= (ulong)value << 32;
                break;
            case 0x30:
                _adminCompletions = value;
                break;
            case 0x34:
                _adminCompletions |= (ulong)value << 32;
                break;
            case >= 0x1000 when !IsStuck:
                RingDoorbell((int)(offset - 0x1000) / 8, (offset & 4) != 0, (int)value);
                break;
            default:
                break;
        }
    }

    private void Configure(uint value)
    {
        if ((value & 1) != 0 && (_configuration & 1) == 0)
        {
            Assert.Equal(0x0046_0001u, value);
            _submissions[0] = new Ring(0, _adminSubmissions, (int)(_attributes & 0xFFF) + 1, 0, 0);
            _completions[0] = new Ring(0, _adminCompletions, (int)(_attributes >> 16) + 1, 0, 0);
        }

        if ((value & 1) == 0)
        {
            _submissions.Clear();
            _completions.Clear();
            _held.Clear();
        }

        WasShutDown |= (value >> 14 & 3) != 0;
        _configuration = value;
    }

    private void RingDoorbell(int number, bool isHead, int value)
    {
        if (isHead)
        {
            Assert.InRange(value, 0, _completions[number].Entries - 1);
            return;
        }

        // A doorbell of a queue that is not there does nothing.
        if (!_submissions.TryGetValue(number, out Ring? queue))
        {
            return;
        }

        Assert.InRange(value, 0, queue.Entries - 1);
        while (queue.Index != value)
        {
            byte[] entry = new byte[64];
            Assert.True(Dma(queue.Start + (ulong)(queue.Index * 64), entry, false));
            queue.Index = (queue.Index + 1) % queue.Entries;
            if (number == 0)
            {
                ushort status = Administer(entry, out uint result);
                Complete(queue, entry, status, result);
                continue;
            }

            _commands.Add(new DriveCommand(number, entry[0], entry[1], Word(entry, 1), Long(entry, 10), Word(entry, 12)));
            if (Holds)
            {
                _held.Add((queue, entry));
            }
            else
            {
                Complete(queue, entry, CarryOut(entry), 0);
            }
        }
    }

    private ushort Administer(byte[] entry, out uint result)
    {
        result = 0;
        int number = (int)(Word(entry, 10) & 0xFFFF);
        int entries = (int)(Word(entry, 10) >> 16) + 1;
        switch (entry[0])
        {
            case 0x06:
                byte[] page = Word(entry, 10) == 1 ? IdentifyController() : IdentifyNamespace(Word(entry, 1));
                return Dma(Long(entry, 6), page, true) ? (ushort)0 : (ushort)4;
            case 0x09:
                result = (uint)(QueuesGiven - 1) * 0x1_0001;
                return 0;
            case 0x05:
                Assert.False(_completions.ContainsKey(number));
                _completions[number] = new Ring(number, Long(entry, 6), entries, 0, (int)(Word(entry, 11) >> 16));
                return 0;
            case 0x01:
                Assert.False(_submissions.ContainsKey(number));
                _submissions[number] = new Ring(number, Long(entry, 6), entries, (int)(Word(entry, 11) >> 16), 0);
                return 0;
            case 0x00:
                // What is held is aborted, with completions where it can be.
                foreach ((Ring queue, byte[] held) in _held.Where(h => h.Queue.Number == number).ToArray())
                {
                    Complete(queue, held, 8, 0);
                }

                _held.RemoveAll(h => h.Queue.Number == number);
                return _submissions.Remove(number) ? (ushort)0 : (ushort)0x101;
            case 0x04:
                return _completions.Remove(number) ? (ushort)0 : (ushort)0x101;
            default:
                return 1;
        }
    }

    private byte[] IdentifyController()
    {
        byte[] page = new byte[Page];
        Encoding.ASCII.GetBytes("SOFTDRIVE0          ").CopyTo(page, 4);
        page[77] = Mdts;
        BinaryPrimitives.WriteUInt16LittleEndian(page.AsSpan(520), Optional);
        page[525] = 1;
        return page;
    }

    private byte[] IdentifyNamespace(uint number)
    {
        byte[] page = new byte[Page];
        if (number == 1)
        {
            BinaryPrimitives.WriteUInt64LittleEndian(page, (ulong)(Blocks.Length / BlockSize));
            page[26] = 1;
            BinaryPrimitives.WriteUInt32LittleEndian(page.AsSpan(132), Format != 0 ? Format : (uint)int.Log2(BlockSize) << 16);
        }

        return page;
    }

    private ushort CarryOut(byte[] entry)
    {
        int length = ((int)(Word(entry, 12) & 0xFFFF) + 1) * BlockSize;
        ulong first = Long(entry, 10) * (ulong)BlockSize;
        switch (entry[0])
        {
            case 0x00:
                return 0;
            case 0x01 or 0x02 or 0x08 when first > (ulong)Blocks.Length || (ulong)length > (ulong)Blocks.Length - first:
                return 0x80;
            case 0x01 or 0x02:
                return Transfer(entry, Blocks.AsSpan((int)first, length), entry[0] == 0x02);
            case 0x08:
                Blocks.AsSpan((int)first, length).Clear();
                return 0;
            case 0x09:
                byte[] ranges = new byte[((int)(Word(entry, 10) & 0xFF) + 1) * 16];
                ushort status = Transfer(entry, ranges, false);
                for (int i = 0; i < ranges.Length && (Word(entry, 11) & 4) != 0; i += 16)
                {
                    int start = (int)BinaryPrimitives.ReadUInt64LittleEndian(ranges.AsSpan(i + 8)) * BlockSize;
                    Blocks.AsSpan(start, BinaryPrimitives.ReadInt32LittleEndian(ranges.AsSpan(i + 4)) * BlockSize).Clear();
                }

                return status;
            default:
                return 1;
        }
    }

    // Every page of a transfer, from both pointers and a list that goes on in its last entry.
    private ushort Transfer(byte[] entry, Span<byte> data, bool toMemory)
    {
        ulong one = Long(entry, 6);
        int here = Math.Min(data.Length, Page - (int)(one % Page));
        bool good = Dma(one, data[..here], toMemory);
        data = data[here..];
        ulong next = Long(entry, 8);
        if (data.Length <= Page)
        {
            return good && (data.IsEmpty || Dma(next, data, toMemory)) ? (ushort)0 : (ushort)4;
        }

        byte[] pointer = new byte[8];
        while (!data.IsEmpty && good)
        {
            good = Dma(next, pointer, false);
            ulong value = BinaryPrimitives.ReadUInt64LittleEndian(pointer);
            if (next % Page == Page - 8 && data.Length > Page)
            {
                next = value;
                continue;
            }

            next += 8;
            here = Math.Min(data.Length, Page);
            good = good && Dma(value, data[..here], toMemory);
            data = data[here..];
        }

        return good ? (ushort)0 : (ushort)4;
    }

    private bool Dma(ulong address, Span<byte> data, bool toMemory)
    {
        Assert.True(IsBusMaster);
        return toMemory ? _iommu.Write(address, data) : _iommu.Read(address, data);
    }

    private void Complete(Ring queue, byte[] entry, ushort status, uint result)
    {
        Ring completions = _completions[queue.Completions];
        byte[] done = new byte[16];
        BinaryPrimitives.WriteUInt32LittleEndian(done, result);
        BinaryPrimitives.WriteUInt16LittleEndian(done.AsSpan(8), (ushort)queue.Index);
        BinaryPrimitives.WriteUInt16LittleEndian(done.AsSpan(10), (ushort)queue.Number);
        entry.AsSpan(2, 2).CopyTo(done.AsSpan(12));
        BinaryPrimitives.WriteUInt16LittleEndian(done.AsSpan(14), (ushort)(status << 1 | (completions.Phase ? 1 : 0)));
        Assert.True(Dma(completions.Start + (ulong)(completions.Index * 16), done, true));
        completions.Index++;
        if (completions.Index == completions.Entries)
        {
            (completions.Index, completions.Phase) = (0, !completions.Phase);
        }

        if (completions.Vector < _triggers.Length)
        {
            _triggers[completions.Vector]?.Signal();
        }
    }

    private static uint Word(byte[] entry, int index) => BinaryPrimitives.ReadUInt32LittleEndian(entry.AsSpan(4 * index));

    private static ulong Long(byte[] entry, int index) => BinaryPrimitives.ReadUInt64LittleEndian(entry.AsSpan(4 * index));

    private sealed class Ring(int number, ulong start, int entries, int completions, int vector)
    {
        public int Number => number;

        public ulong Start => start;

        public int Entries => entries;

        public int Completions => completions;

        public int Vector => vector;

        public int Index { get; set; }

        public bool Phase { get; set; } = true;
    }
}
