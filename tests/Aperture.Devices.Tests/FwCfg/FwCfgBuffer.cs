using Aperture.Firmware.FwCfg;

namespace Aperture.Devices.Tests.FwCfg;

/// <summary>An item that the guest may overwrite, such as <c>etc/ramfb</c>; it starts as zeros and keeps its size.</summary>
internal sealed class FwCfgBuffer : IFirmwareItem
{
    /// <summary>The most bytes the guest may store in one item.</summary>
    public const int Largest = 1 << 20;

    private readonly byte[] _bytes;
    private readonly Action<ReadOnlyMemory<byte>>? _written;

    /// <summary>Makes an item of <paramref name="size"/> bytes.</summary>
    /// <param name="size">1 to <see cref="Largest"/>.</param>
    /// <param name="written">Called after each completed write with the whole content, on the vCPU's thread under the device's lock; must not throw.</param>
    /// <exception cref="ApertureException">The size is out of range.</exception>
    public FwCfgBuffer(int size, Action<ReadOnlyMemory<byte>>? written = null)
    {
        if (size is <= 0 or > Largest)
        {
            throw new ApertureException($"a guest-writable firmware configuration item of {size} bytes cannot be made: 1 to {Largest} can");
        }

        _bytes = new byte[size];
        _written = written;
    }

    /// <inheritdoc/>
    public ulong Length => (ulong)_bytes.Length;

    /// <inheritdoc/>
    public bool IsWritable => true;

    /// <inheritdoc/>
    public bool Read(ulong offset, Span<byte> destination)
    {
        _bytes.AsSpan((int)offset, destination.Length).CopyTo(destination);
        return true;
    }

    /// <inheritdoc/>
    public bool Write(ulong offset, ReadOnlySpan<byte> source)
    {
        source.CopyTo(_bytes.AsSpan((int)offset));
        return true;
    }

    /// <inheritdoc/>
    public void Written() => _written?.Invoke(_bytes);

    /// <inheritdoc/>
    public void Reset() => Array.Clear(_bytes);
}
