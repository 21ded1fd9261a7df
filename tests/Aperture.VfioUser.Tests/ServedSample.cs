using System.Buffers.Binary;
using Aperture.Assignment;
using Aperture.Linux;
using Aperture.VfioUser.Server;

namespace Aperture.VfioUser.Tests;

/// <summary>
/// A function with registers that hold what is written (BAR 0), memory of which the second and fourth of eight pages can be mapped (BAR 2), and config bytes.
/// Records what happened to it.
/// </summary>
internal sealed class ServedSample : IServedDevice, IDisposable
{
    public const ulong MemoryOffset = 0x2000;

    /// <param name="mappable">Parts of it can be mapped.</param>
    /// <param name="file">What those are, 64 KiB that the sample takes over; null for memory whose length never changes.</param>
    public ServedSample(bool mappable = true, SafeFileDescriptor? file = null)
    {
        if (file is null)
        {
            Assert.Equal(0, MemoryFile.TryMake("sample", 0x10000, 0, out file));
        }

        File = file;
        BinaryPrimitives.WriteUInt32LittleEndian(Config, 0x0DEF_1AB4);
        ServedRegion memory = new(0x8000, true, true);
        Regions =
        [
            new ServedRegion(0x1000, true, true),
            ServedRegion.None,
            mappable ? memory with { Areas = [new VfioArea(0x1000, 0x1000), new VfioArea(0x3000, 0x1000)], File = File, FileOffset = MemoryOffset } : memory,
            new ServedRegion(0x100, true, false),
            ServedRegion.None,
            mappable ? new ServedRegion(0x2000, true, true) { Areas = [new VfioArea(0, 0x2000)], File = File } : ServedRegion.None,
            ServedRegion.None,
            new ServedRegion(256, true, true),
            ServedRegion.None,
        ];
    }

    /// <summary>
    /// The same with the config bytes of a function: header type 0, BAR 0 and BAR 2 of 32 bits, MSI-X of 8 vectors in BAR 0 (PCI Local Bus 3.0, sections 6.1
    /// and 6.8.2).
    /// </summary>
    public static ServedSample Function(bool mappable, SafeFileDescriptor? file = null)
    {
        ServedSample sample = new(mappable, file);
        BinaryPrimitives.WriteUInt32LittleEndian(sample.Config.AsSpan(0x04), 0x0010_0000);
        BinaryPrimitives.WriteUInt32LittleEndian(sample.Config.AsSpan(0x08), 0xFF00_0001);
        BinaryPrimitives.WriteUInt32LittleEndian(sample.Config.AsSpan(0x2C), 0x1100_1AF4);
        sample.Config[0x34] = 0x40;
        sample.Config[0x3D] = 1;
        BinaryPrimitives.WriteUInt32LittleEndian(sample.Config.AsSpan(0x40), 0x0007_0011);
        BinaryPrimitives.WriteUInt32LittleEndian(sample.Config.AsSpan(0x44), 0x800);
        BinaryPrimitives.WriteUInt32LittleEndian(sample.Config.AsSpan(0x48), 0xC00);
        return sample;
    }

    public SafeFileDescriptor File { get; }

    public byte[] Config { get; } = new byte[256];

    public byte[] Registers { get; } = new byte[0x1000];

    public List<string> Log { get; } = [];

    /// <summary>Runs within each write to BAR 0, on the session's thread.</summary>
    public Action<IDeviceClient, ulong>? OnWrite { get; set; }

    public int ResetErrno { get; set; }

    public IDeviceClient? Client { get; private set; }

    public IReadOnlyList<ServedRegion> Regions { get; }

    public IReadOnlyList<VfioIrq> Irqs { get; } =
    [
        new VfioIrq(0, 1, true, true, true),
        new VfioIrq(1, 4, false, false, false),
        new VfioIrq(2, 8, false, false, true),
        new VfioIrq(3, 1, false, false, true),
        new VfioIrq(4, 1, false, false, true),
    ];

    public bool CanReset { get; init; } = true;

    public void Connected(IDeviceClient client)
    {
        Client = client;
        Note("connected");
    }

    public void Disconnected() => Note("disconnected");

    public int Read(int region, ulong offset, Span<byte> destination)
    {
        Contents(region).AsSpan((int)offset, destination.Length).CopyTo(destination);
        return 0;
    }

    public int Write(int region, ulong offset, ReadOnlySpan<byte> source)
    {
        if (region == 0 && OnWrite is { } act)
        {
            byte[] kept = source.ToArray();
            act(Client!, offset);

            // What was given is what was sent, whatever came over the socket meanwhile.
            Assert.Equal(kept, source.ToArray());
        }

        source.CopyTo(Contents(region).AsSpan((int)offset));
        return 0;
    }

    public int Reset()
    {
        Note("reset");
        return ResetErrno;
    }

    public void MemoryAdded(AddressRange range, SafeFileDescriptor? file, ulong fileOffset, bool writable, HostAddress? host) =>
        Note($"+{range} {(file is null ? "messages" : $"file 0x{fileOffset:x}")}{(writable ? "" : " read-only")}");

    public void MemoryRemoved(AddressRange range) => Note($"-{range}");

    /// <summary>Waits until something was noted so many times.</summary>
    public void Await(string note, int times = 1) =>
        Assert.True(SpinWait.SpinUntil(() => Count(note) >= times, 20_000), $"{note} was not seen {times} times: {string.Join(", ", Log)}");

    public void Dispose() => File.Dispose();

    private byte[] Contents(int region) => region switch
    {
        0 => Registers,
        7 => Config,
        _ => _others.TryGetValue(region, out byte[]? bytes) ? bytes : _others[region] = new byte[Regions[region].Size],
    };

    private readonly Dictionary<int, byte[]> _others = [];

    private int Count(string note)
    {
        lock (Log)
        {
            return Log.Count(l => l == note);
        }
    }

    private void Note(string what)
    {
        lock (Log)
        {
            Log.Add(what);
        }
    }
}

/// <summary>What was reported.</summary>
internal sealed class Reports : IEventSink
{
    private readonly List<string> _kinds = [];
    private readonly List<string> _notices = [];

    public bool Enabled => true;

    public TimeSpan Elapsed => TimeSpan.Zero;

    public IReadOnlyList<string> Notices
    {
        get
        {
            lock (_kinds)
            {
                return [.. _notices];
            }
        }
    }

    public void Write(string kind, Action<System.Text.Json.Utf8JsonWriter>? fields = null)
    {
        lock (_kinds)
        {
            _kinds.Add(kind);
        }
    }

    public void Notice(string kind, string sentence, Action<System.Text.Json.Utf8JsonWriter>? fields = null)
    {
        lock (_kinds)
        {
            _kinds.Add(kind);
            _notices.Add(sentence);
        }
    }

    /// <summary>Waits until so many events of a kind were reported.</summary>
    public void Await(string kind, int times = 1) =>
        Assert.True(SpinWait.SpinUntil(() => Count(kind) >= times, 20_000), $"{kind} was not reported {times} times");

    /// <summary>Waits until so many sessions ended, by themselves or not.</summary>
    public void AwaitEnds(int times) => Assert.True(
        SpinWait.SpinUntil(() => Count("vfio-user.disconnected") + Count("vfio-user.ended") >= times, 20_000), $"not {times} sessions ended");

    private int Count(string kind)
    {
        lock (_kinds)
        {
            return _kinds.Count(k => k == kind);
        }
    }
}
