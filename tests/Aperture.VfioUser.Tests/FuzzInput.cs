using System.Buffers.Binary;
using System.Globalization;
using Aperture.Linux;
using Aperture.Linux.Net;
using Aperture.Memory;
using Aperture.VfioUser.Client;

namespace Aperture.VfioUser.Tests;

/// <summary>One side of a conversation, whose other side says anything.</summary>
internal interface IFuzzTarget : IDisposable
{
    /// <summary>Says this to it.</summary>
    void Feed(byte[] message);

    /// <summary>Asserts that it is of use as ever; nothing to assert of one that starts anew whenever it is dead.</summary>
    void IsAlive()
    {
    }
}

/// <summary>What fuzz targets are fed: a corpus, mutations of it, and the other side's part of a conversation.</summary>
internal static class FuzzInput
{
    /// <summary>How many messages each direction gets.</summary>
    public static readonly int Messages = Setting("APERTURE_FUZZ", 3000);

    /// <summary>Which messages: a long series can be shared between processes, each with another number.</summary>
    public static readonly int Series = Setting("APERTURE_FUZZ_SERIES", 0);

    private const int MostBuffered = 64 << 20;

    private static readonly uint[] Edges = [0, 1, 2, 15, 16, 17, 20, 32, 0xFFF, 0x1000, 0x10_0000, 0x10_0001, 0x7FFF_FFFF, 0x8000_0000, 0xFFFF_FFFF];

    /// <summary>
    /// Feeds mutations of a corpus to a target, which is of use afterwards, and leaves neither memory beyond what was agreed on nor anything open.
    /// </summary>
    /// <param name="corpusFile">The corpus of the direction.</param>
    /// <param name="seed">What the mutations are made by.</param>
    /// <param name="make">Makes the target.</param>
    public static void Survives(string corpusFile, int seed, Func<IFuzzTarget> make)
    {
        List<byte[]> corpus = Corpus(corpusFile);
        Random random = new(seed + (Series * 1000));
        long before = GC.GetTotalMemory(forceFullCollection: true);
        Alone.LeavesNothing("fuzz", () =>
        {
            using IFuzzTarget target = make();
            for (int i = 0; i < Messages / 2; i++)
            {
                target.Feed(Mutate(random, corpus));
            }

            target.IsAlive();
        });
        Assert.True(GC.GetTotalMemory(forceFullCollection: true) - before < MostBuffered);
    }

    /// <summary>Messages of a file: lines of hexadecimal, and comments.</summary>
    public static List<byte[]> Corpus(string name)
    {
        List<byte[]> messages = [.. File.ReadLines(Path.Combine(AppContext.BaseDirectory, "Corpus", name))
            .Select(static line => line.Split('#')[0].Trim())
            .Where(static line => line.Length != 0)
            .Select(Convert.FromHexString)];
        Assert.NotEmpty(messages);
        return messages;
    }

    /// <summary>Connects a good client to a server that waits for a version no longer than a busy machine may need for one.</summary>
    public static VfioUserDevice Connect(string path, Reports reports, ClientOptions? options = null)
    {
        for (int i = 1; ; i++)
        {
            try
            {
                return VfioUserDevice.Connect(path, reports, options: options);
            }
            catch (ApertureException) when (i < 20)
            {
            }
        }
    }

    /// <summary>The same for a peer that says any bytes afterwards.</summary>
    public static RawPeer Greet(string path, string json)
    {
        for (int i = 1; ; i++)
        {
            Assert.Equal(0, UnixSocket.TryConnect(path, out SafeFileDescriptor socket));
            RawPeer peer = RawPeer.Of(socket);
            Exception? refused = Record.Exception(() => Assert.NotEmpty(peer.Ask(Wire.Command(1, 1, Wire.Version(0, 1, json)))));
            if (refused is null)
            {
                return peer;
            }

            peer.Dispose();
            Assert.True(i < 20, refused.Message);
        }
    }

    /// <summary>A message of the corpus with some edits, or noise.</summary>
    public static byte[] Mutate(Random random, List<byte[]> corpus)
    {
        if (random.Next(20) == 0)
        {
            byte[] noise = new byte[random.Next(80)];
            random.NextBytes(noise);
            return noise;
        }

        byte[] message = [.. corpus[random.Next(corpus.Count)]];
        for (int edits = random.Next(4); edits > 0 && message.Length >= 16; edits--)
        {
            switch (random.Next(6))
            {
                case 0:
                    message[random.Next(message.Length)] ^= (byte)(1 << random.Next(8));
                    break;
                case 1:
                    BinaryPrimitives.WriteUInt32LittleEndian(message.AsSpan(random.Next(message.Length - 3)), Edges[random.Next(Edges.Length)]);
                    break;
                case 2:
                    int field = random.Next(message.Length / 4);
                    BinaryPrimitives.WriteUInt32LittleEndian(message.AsSpan(4 * field), Edges[random.Next(Edges.Length)]);
                    break;
                case 3:
                    message = message[..random.Next(16, message.Length + 1)];
                    BinaryPrimitives.WriteUInt32LittleEndian(message.AsSpan(4), (uint)message.Length);
                    break;
                case 4:
                    message = [.. message, .. new byte[random.Next(64)]];
                    BinaryPrimitives.WriteUInt32LittleEndian(message.AsSpan(4), (uint)message.Length);
                    break;
                default:
                    byte[] other = corpus[random.Next(corpus.Count)];
                    other.AsSpan(Math.Min(16, other.Length)).CopyTo((message = [.. message, .. new byte[other.Length]]).AsSpan(16));
                    break;
            }
        }

        return message;
    }

    /// <summary>True when the other side waits for more of it.</summary>
    public static bool IsPart(byte[] message) =>
        message.Length < 16 || (BinaryPrimitives.ReadUInt32LittleEndian(message.AsSpan(4)) is var size && size > (uint)message.Length && size >= 16);

    /// <summary>
    /// A message as the answer to a command, if it is a reply: most that differ in this are told apart at once, and then nothing else of them is looked at.
    /// </summary>
    public static byte[] Fit(byte[] message, byte[] command)
    {
        if (message.Length < 16 || (message[8] & 0xF) != 1)
        {
            return message;
        }

        byte[] fitting = [.. message];
        command.AsSpan(0, 4).CopyTo(fitting);
        return fitting;
    }

    /// <summary>True when a message says that it is the reply to a command.</summary>
    public static bool Answers(byte[] message, byte[] command) =>
        message.Length >= 16 && (message[8] & 0xF) == 1 && message.AsSpan(0, 4).SequenceEqual(command.AsSpan(0, 4));

    /// <summary>What is right to answer.</summary>
    public static byte[] RightAnswer(byte[] command)
    {
        ushort id = BinaryPrimitives.ReadUInt16LittleEndian(command);
        ushort number = BinaryPrimitives.ReadUInt16LittleEndian(command.AsSpan(2));
        Wire payload = new();
        return Wire.Reply(id, number, number switch
        {
            9 => payload.Raw(command.AsSpan(16, 16)).Raw(new byte[8]),
            10 => payload.Raw(command.AsSpan(16, 16)),
            3 => payload.Raw(command.AsSpan(16, 24)),

            // A fault is refused.
            0x4101 => payload.Raw(command.AsSpan(16, 4)).U32(0).Raw(command.AsSpan(24, 8)).Raw(new byte[48]),
            _ => payload,
        });
    }

    /// <summary>The next command, past answers to what was said before; null when the other side is gone, or asks nobody.</summary>
    public static byte[]? TryReceive(RawPeer peer)
    {
        byte[] header = new byte[16];
        while (TryFill(peer, header))
        {
            byte[] body = new byte[BinaryPrimitives.ReadUInt32LittleEndian(header.AsSpan(4)) - 16];
            if (!TryFill(peer, body))
            {
                return null;
            }

            if ((header[8] & 0xF) == 0)
            {
                return [.. header, .. body];
            }
        }

        return null;
    }

    private static bool TryFill(RawPeer peer, byte[] bytes)
    {
        for (int done = 0; done < bytes.Length;)
        {
            List<SafeFileDescriptor> files = [];
            int count = SocketMessages.TryReceive(peer.Socket, bytes.AsSpan(done), 16, files, out _);
            files.ForEach(static f => f.Dispose());
            if (count <= 0)
            {
                return false;
            }

            done += count;
        }

        return true;
    }

    /// <summary>False when the other side takes nothing any more.</summary>
    public static bool Say(RawPeer peer, byte[] message, params SafeFileDescriptor[] files) =>
        message.Length == 0 || SocketMessages.TrySend(peer.Socket, message, default, files) == message.Length;

    /// <summary>Takes what is there; false when the other side ended the connection.</summary>
    public static bool Drain(RawPeer peer)
    {
        byte[] bytes = new byte[4096];
        Span<PollItem> items = [new PollItem(peer.Socket, PollEvents.Readable)];
        while (Poll.Wait(items, 0) != 0)
        {
            List<SafeFileDescriptor> files = [];
            int count = SocketMessages.TryReceive(peer.Socket, bytes, 16, files, out _);
            files.ForEach(static f => f.Dispose());
            if (count <= 0)
            {
                return false;
            }
        }

        return true;
    }

    private static int Setting(string name, int otherwise) =>
        int.TryParse(Environment.GetEnvironmentVariable(name), NumberStyles.None, CultureInfo.InvariantCulture, out int value) ? value : otherwise;
}

/// <summary>Guest memory; some of the addresses that a server was given have none.</summary>
internal sealed class FuzzDma(RamBlock ram) : IDma
{
    public bool Read(GuestAddress address, Span<byte> destination)
    {
        bool inside = address.Value < ram.Size && (ulong)destination.Length <= ram.Size - address.Value;
        if (inside)
        {
            ram.Read(address.Value, destination);
        }

        return inside;
    }

    public bool Write(GuestAddress address, ReadOnlySpan<byte> source)
    {
        bool inside = address.Value < ram.Size && (ulong)source.Length <= ram.Size - address.Value;
        if (inside)
        {
            ram.Write(address.Value, source);
        }

        return inside;
    }
}
