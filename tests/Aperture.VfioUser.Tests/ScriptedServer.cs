using System.Buffers.Binary;
using Aperture.Linux;
using Aperture.VfioUser.Client;

namespace Aperture.VfioUser.Tests;

/// <summary>
/// A server made of bytes: plays the start of a session with a client that runs beside it, then leaves the wire to the test. Its device has one region of
/// registers, one of which two areas can be mapped, configuration space, INTx and 8 vectors of MSI-X.
/// </summary>
internal sealed class ScriptedServer : IDisposable
{
    public const string Proposal =
        """{"capabilities":{"max_msg_fds":16,"max_data_xfer_size":1048576,"max_dma_maps":65535,"pgsizes":4096,"twin_socket":{"supported":true}}}""";

    private readonly Task<VfioUserDevice> _client;

    public ScriptedServer(Reports reports, IDma? memory = null, ISharedMemory? shared = null, ClientOptions? options = null)
    {
        Peer = RawPeer.Pair(out SafeFileDescriptor socket);
        Assert.Equal(0, MemoryFile.TryMake("scripted", 0x8000, 0, out SafeFileDescriptor file));
        File = file;
        _client = Task.Run(() => VfioUserDevice.Open(socket, "scripted", reports, memory, shared, options));
    }

    public RawPeer Peer { get; }

    public SafeFileDescriptor File { get; }

    /// <summary>The client; waits until it is connected.</summary>
    public VfioUserDevice Device => _client.GetAwaiter().GetResult();

    /// <summary>What the server says at each step of the start, in order. Id 0 is the version, the next are GET_INFO, nine regions, five interrupts.</summary>
    public static IReadOnlyList<byte[]> Answers(bool mappable = true)
    {
        List<byte[]> answers =
        [
            Wire.Reply(0, 1, Wire.Version(0, 0, """{"capabilities":{"max_msg_fds":4}}""")),
            Wire.Reply(1, 4, new Wire().U32(16).U32(3).U32(9).U32(5)),
        ];
        ushort id = 2;
        for (uint index = 0; index < 9; index++)
        {
            if (index == 2 && mappable)
            {
                answers.Add(Wire.Reply(id++, 5, new Wire().U32(80).U32(15).U32(2).U32(0).U64(0x5000).U64(0x2000)));
                answers.Add(Wire.Reply(id++, 5, new Wire().U32(80).U32(15).U32(2).U32(32).U64(0x5000).U64(0x2000)
                    .U16(1).U16(1).U32(0).U32(2).U32(0).U64(0x1000).U64(0x1000).U64(0x3000).U64(0x1000)));
                continue;
            }

            ulong size = index switch { 0 => 0x1000u, 7 => 256u, _ => 0u };
            answers.Add(Wire.Reply(id++, 5, new Wire().U32(32).U32(size == 0 ? 0u : 3u).U32(index).U32(0).U64(size).U64(0)));
        }

        for (uint index = 0; index < 5; index++)
        {
            answers.Add(Wire.Reply(id++, 7, new Wire().U32(16).U32(index == 0 ? 7u : 1u).U32(index).U32(index switch { 0 => 1u, 2 => 8u, _ => 0u })));
        }

        return answers;
    }

    /// <summary>The same with a twin socket, which comes with the first, and with faulting areas in region 2, for which the client asks twice.</summary>
    public static List<byte[]> ExtensionAnswers()
    {
        const ushort Number = 2;
        const string Version = """{"capabilities":{"max_msg_fds":4,"twin_socket":{"supported":true,"fd_index":0},"aperture_faults":{"version":1}}}""";
        List<byte[]> answers = [.. Answers(mappable: false)];
        answers[0] = Wire.Reply(0, 1, Wire.Version(0, 1, Version));
        Wire areas = new Wire().U16(0x4101).U16(1).U32(0).U32(2).U32(0).U64(0x1000).U64(0x2000).U64(0x4000).U64(0x1000);
        answers[2 + Number] = Wire.Reply(2 + Number, 5, new Wire().U32(80).U32(11).U32(Number).U32(32).U64(0x8000).U64(0));
        answers.Insert(
            3 + Number, Wire.Reply(3 + Number, 5, new Wire().U32(80).U32(11).U32(Number).U32(32).U64(0x8000).U64(0).Raw(areas.Bytes)));
        for (int i = 4 + Number; i < answers.Count; i++)
        {
            BinaryPrimitives.WriteUInt16LittleEndian(answers[i], (ushort)i);
        }

        return answers;
    }

    /// <summary>Plays the start up to <paramref name="steps"/> answers.</summary>
    /// <returns>What the client sent.</returns>
    public List<byte[]> Start(bool mappable = true, int steps = int.MaxValue)
    {
        List<byte[]> commands = [];
        foreach (byte[] answer in Answers(mappable).Take(steps))
        {
            commands.Add(Peer.Receive());

            // The two answers about region 2 bring the descriptor.
            bool brings = answer[2] == 5 && answer.Length > 40 && answer[24] == 2 && (answer[20] & 4) != 0;
            Peer.Send(answer, brings ? [File] : []);
        }

        return commands;
    }

    /// <summary>Runs a call of the client beside the test, which plays the server.</summary>
    public Task<T> Call<T>(Func<VfioUserDevice, T> call)
    {
        VfioUserDevice device = Device;
        return Task.Run(() => call(device));
    }

    public void Dispose()
    {
        Peer.Dispose();
        if (_client.IsCompletedSuccessfully)
        {
            _client.Result.Dispose();
        }

        File.Dispose();
    }
}
