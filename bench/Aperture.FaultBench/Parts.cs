using System.Text.Json;
using Aperture.Assignment;
using Aperture.Linux;
using Aperture.Memory.Faulting;
using Aperture.VfioUser.Server;

namespace Aperture.FaultBench;

/// <summary>Grants all of the memory at the first touch.</summary>
internal sealed class Granter : IFaultAnswerer, IDisposable
{
    private readonly SafeFileDescriptor _file;
    private readonly ulong _size;

    public Granter(ulong size)
    {
        int errno = MemoryFile.TryMake("bench", size, 0, out _file);
        _size = errno == 0 ? size : throw new LinuxException("cannot make a file of memory", errno);
    }

    public bool Touched(FaultingMemory memory, ulong offset) => memory.Grant(0, _size, new GrantSource(1, _file, 0, true)) == 0;

    public void Dispose() => _file.Dispose();
}

/// <summary>A function of 4 KiB of registers that hold what is written.</summary>
internal sealed class Registers : IServedDevice
{
    private readonly byte[] _registers = new byte[4096];
    private readonly byte[] _config = new byte[256];

    public IReadOnlyList<ServedRegion> Regions { get; } =
    [
        new ServedRegion(4096, true, true), ServedRegion.None, ServedRegion.None, ServedRegion.None, ServedRegion.None, ServedRegion.None, ServedRegion.None,
        new ServedRegion(256, true, true), ServedRegion.None,
    ];

    public IReadOnlyList<VfioIrq> Irqs { get; } = [.. Enumerable.Range(0, 5).Select(static index => new VfioIrq(index, 0, false, false, true))];

    public bool CanReset => false;

    public void Connected(IDeviceClient client)
    {
    }

    public void Disconnected()
    {
    }

    public int Read(int region, ulong offset, Span<byte> destination)
    {
        (region == 0 ? _registers : _config).AsSpan((int)offset, destination.Length).CopyTo(destination);
        return 0;
    }

    public int Write(int region, ulong offset, ReadOnlySpan<byte> source)
    {
        source.CopyTo((region == 0 ? _registers : _config).AsSpan((int)offset));
        return 0;
    }

    public int Reset() => Errno.EOPNOTSUPP;
}

/// <summary>Keeps nothing.</summary>
internal sealed class Silence : IEventSink
{
    public static Silence Instance { get; } = new();

    public bool Enabled => false;

    public TimeSpan Elapsed => TimeSpan.Zero;

    public void Write(string kind, Action<Utf8JsonWriter>? fields = null)
    {
    }

    public void Notice(string kind, string sentence, Action<Utf8JsonWriter>? fields = null)
    {
    }
}
