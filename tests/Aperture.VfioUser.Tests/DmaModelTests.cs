using Aperture.Linux;
using Aperture.Linux.Net;
using Aperture.VfioUser.Protocol;
using Aperture.VfioUser.Server;
using Aperture.VfioUser.Transport;
using FsCheck;
using FsCheck.Fluent;

namespace Aperture.VfioUser.Tests;

/// <summary>
/// Any sequence of mappings, unmappings and accesses of the device, against a model that knows for each page who gave it: every answer is the model's, and
/// the device reads and writes exactly the bytes that it may.
/// </summary>
public class DmaModelTests
{
    private const int Pages = 12;
    private const int Most = 4;
    private const ulong Page = 4096;

    private enum Kind
    {
        Map,
        Unmap,
        UnmapAll,
        Read,
        Write,
    }

    private static Gen<Step> Steps { get; } =
        from kind in Gen.Frequency((5, Gen.Constant(Kind.Map)), (4, Gen.Constant(Kind.Unmap)), (1, Gen.Constant(Kind.UnmapAll)),
            (4, Gen.Constant(Kind.Read)), (4, Gen.Constant(Kind.Write)))
        from first in Gen.Choose(0, Pages - 1)
        from count in Gen.Choose(1, 4)
        from flags in Gen.Elements(1, 2, 3, 3)
        from filePage in Gen.Choose(0, Pages)
        from skew in Gen.Elements(0, 1, 8, 4090, 4095)
        select new Step(kind, first, count, (uint)flags, filePage, skew);

    [Fact]
    public void A_server_knows_what_a_model_knows() => Prop.ForAll(Steps.ListOf(40).ToArbitrary(), steps =>
    {
        using Machine machine = new();
        foreach (Step step in steps)
        {
            machine.Run(step);
        }

        machine.CompareFile();
    }).Holds(200);

    private sealed record Step(Kind Kind, int First, int Count, uint Flags, int FilePage, int Skew);

    /// <summary>A page that the client gave.</summary>
    private sealed record Given(int Mapping, int FilePage, bool Readable, bool Writable);

    private sealed class Machine : IDisposable
    {
        private readonly ServedSample _device = new();
        private readonly DmaTable _table = new(Most);
        private readonly IrqTable _irqs;
        private readonly DeviceCommands _commands;
        private readonly ClientMemory _memory;
        private readonly SafeFileDescriptor _file;
        private readonly byte[] _bytes = new byte[Pages * (int)Page];
        private readonly Given?[] _pages = new Given?[Pages + 4];
        private readonly Dictionary<(int First, int Count), int> _mappings = [];
        private int _next;
        private byte _fill;

        public Machine()
        {
            _irqs = new IrqTable(_device.Irqs);
            _commands = new DeviceCommands(_device, _irqs, _table, 1 << 20);
            _memory = new ClientMemory(_table, new Nobody(), 1 << 20);
            Assert.Equal(0, MemoryFile.TryMake("model", (ulong)_bytes.Length, 0, out _file));
            new Random(1).NextBytes(_bytes);
            Assert.Equal(_bytes.Length, FileDescriptors.TryWriteAt(_file, 0, _bytes));
        }

        public void Run(Step step)
        {
            switch (step.Kind)
            {
                case Kind.Map:
                    Map(step);
                    break;
                case Kind.Unmap:
                    bool known = _mappings.Remove((step.First, step.Count), out int mapping);
                    Clear(mapping, known);
                    Assert.Equal(known ? 0 : Errno.ENOENT, Tell(VfioUserCommand.DmaUnmap, Unmap(0, step.First, step.Count)));
                    break;
                case Kind.UnmapAll:
                    _mappings.Clear();
                    Array.Clear(_pages);
                    Assert.Equal(0, Tell(VfioUserCommand.DmaUnmap, Unmap(2, 0, 0)));
                    break;
                default:
                    Access(step);
                    break;
            }

            Assert.Equal(_mappings.Count, _table.Count);
        }

        public void CompareFile()
        {
            byte[] now = new byte[_bytes.Length];
            Assert.Equal(now.Length, FileDescriptors.TryReadAt(_file, 0, now));
            Assert.Equal(_bytes, now);
        }

        public void Dispose()
        {
            _commands.End();
            _irqs.Dispose();
            _file.Dispose();
            _device.Dispose();
        }

        private static byte[] Unmap(uint flags, int first, int count) =>
            new Wire().U32(24).U32(flags).U64((ulong)first * Page).U64((ulong)count * Page).Bytes;

        private int Tell(VfioUserCommand command, byte[] payload) => _commands.CarryOut(command, payload, MessageDescriptors.None);

        private void Map(Step step)
        {
            bool inFile = step.FilePage + step.Count <= Pages;
            bool overlaps = Enumerable.Range(step.First, step.Count).Any(p => _pages[p] is not null);
            int expected = !inFile ? Errno.EINVAL : overlaps ? Errno.EEXIST : _mappings.Count >= Most ? Errno.ENOSPC : 0;
            Wire payload = new Wire().U32(32).U32(step.Flags).U64((ulong)step.FilePage * Page).U64((ulong)step.First * Page).U64((ulong)step.Count * Page);

            // A number of this process's own for each message, as if it had come with it.
            Assert.Equal(0, UnixSocket.TryPair(out SafeFileDescriptor here, out SafeFileDescriptor there));
            using (here)
            using (MessageSocket socket = new(there))
            {
                byte[] message = Wire.Command(0, 2, payload);
                Assert.Equal(message.Length, SocketMessages.TrySend(here, message, default, [_file]));
                Assert.Equal(Received.Message, socket.Receive(out MessageHeader header, out ReadOnlySpan<byte> body));
                using MessageDescriptors descriptors = socket.TakeDescriptors();
                Assert.Equal(1, descriptors.Count);
                Assert.Equal(expected, _commands.CarryOut(header.Command, body, descriptors));
            }

            if (expected == 0)
            {
                _mappings.Add((step.First, step.Count), ++_next);
                for (int i = 0; i < step.Count; i++)
                {
                    _pages[step.First + i] = new Given(_next, step.FilePage + i, (step.Flags & 1) != 0, (step.Flags & 2) != 0);
                }
            }
        }

        private void Clear(int mapping, bool known)
        {
            for (int p = 0; known && p < _pages.Length; p++)
            {
                _pages[p] = _pages[p]?.Mapping == mapping ? null : _pages[p];
            }
        }

        private void Access(Step step)
        {
            bool write = step.Kind == Kind.Write;
            ulong start = (ulong)step.First * Page + (ulong)step.Skew;
            byte[] data = new byte[step.Count * 1500];
            Array.Fill(data, ++_fill);
            bool all = Enumerable.Range(0, data.Length).All(i =>
                _pages[(int)((start + (ulong)i) / Page)] is { } page && (write ? page.Writable : page.Readable));
            if (write)
            {
                WriteModel(start, data);
                Assert.Equal(all, _memory.Write(new GuestAddress(start), data));
            }
            else
            {
                Assert.Equal(all, _memory.Read(new GuestAddress(start), data));
                Assert.True(!all || data.Select((b, i) => b == ModelByte(start + (ulong)i)).All(static same => same));
            }
        }

        private byte ModelByte(ulong address) => _bytes[_pages[(int)(address / Page)]!.FilePage * (int)Page + (int)(address % Page)];

        // A write that is refused further on has written what came before it.
        private void WriteModel(ulong start, byte[] data)
        {
            for (int i = 0; i < data.Length; i++)
            {
                ulong address = start + (ulong)i;
                if (_pages[(int)(address / Page)] is not { Writable: true } page)
                {
                    return;
                }

                _bytes[page.FilePage * (int)Page + (int)(address % Page)] = data[i];
            }
        }

        /// <summary>All memory comes with a file here: no message is needed.</summary>
        private sealed class Nobody : IMessageExchange
        {
            public int TryExchange(VfioUserCommand command, ReadOnlySpan<byte> head, ReadOnlySpan<byte> tail, Span<byte> reply, out int length) =>
                throw new InvalidOperationException("a message was sent for memory that is mapped");
        }
    }
}
