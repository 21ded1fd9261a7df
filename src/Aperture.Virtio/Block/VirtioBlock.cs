using System.Buffers.Binary;
using System.Text;
using Aperture.Virtio.Transport;

namespace Aperture.Virtio.Block;

/// <summary>A block device (VIRTIO 1.2, section 5.2) over <see cref="IBlockStorage"/>: read, write, flush, get id.</summary>
public sealed class VirtioBlock : VirtioDevice
{
    /// <summary>The device type.</summary>
    public const ushort Type = 2;

    /// <summary>Most bytes of the id (section 5.2.6).</summary>
    public const int IdLength = 20;

    /// <summary>Most data buffers in a request.</summary>
    public const uint MostSegments = 254;

    // Mass storage, other (PCI Code and ID Assignment 1.11, section 1.2).
    private const uint StorageClass = 0x018000;
    private const int HeaderSize = 16;
    private const int Chunk = 256 << 10;
    private const int Sector = RawImage.SectorSize;

    private const ulong SegmentMaximum = 1UL << 2;
    private const ulong ReadOnly = 1UL << 5;
    private const ulong BlockSize = 1UL << 6;
    private const ulong FlushCommand = 1UL << 9;

    private const uint CapacityRegister = 0;
    private const uint SegmentMaximumRegister = 12;
    private const uint BlockSizeRegister = 20;

    private readonly IBlockStorage _storage;
    private readonly byte[] _id = new byte[IdLength];
    private readonly byte[] _config = new byte[24];
    private readonly byte[] _buffer = new byte[Chunk];

    /// <summary>Makes the device.</summary>
    /// <param name="storage">The disk; the caller's.</param>
    /// <param name="serial">What the guest reads as its id: at most 20 ASCII characters.</param>
    public VirtioBlock(IBlockStorage storage, string serial)
    {
        ArgumentNullException.ThrowIfNull(storage);
        ArgumentNullException.ThrowIfNull(serial);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(serial.Length, IdLength, nameof(serial));
        _storage = storage;
        Encoding.ASCII.GetBytes(serial, _id);
        BinaryPrimitives.WriteUInt64LittleEndian(_config.AsSpan((int)CapacityRegister), storage.Size / Sector);
        BinaryPrimitives.WriteUInt32LittleEndian(_config.AsSpan((int)SegmentMaximumRegister), MostSegments);
        BinaryPrimitives.WriteUInt32LittleEndian(_config.AsSpan((int)BlockSizeRegister), Sector);
    }

    private enum Request : uint
    {
        Read = 0,
        Write = 1,
        Flush = 4,
        GetId = 8,
    }

    private enum Status : byte
    {
        Ok = 0,
        IoError = 1,
        Unsupported = 2,
    }

    /// <inheritdoc/>
    public override ushort DeviceType => Type;

    /// <inheritdoc/>
    public override uint ClassCode => StorageClass;

    /// <inheritdoc/>
    public override ulong Features => SegmentMaximum | BlockSize | FlushCommand | (_storage.IsReadOnly ? ReadOnly : 0);

    /// <inheritdoc/>
    public override int QueueCount => 1;

    /// <inheritdoc/>
    public override uint ConfigLength => (uint)_config.Length;

    /// <inheritdoc/>
    public override byte ReadConfig(uint offset) => offset < (uint)_config.Length ? _config[offset] : (byte)0;

    /// <inheritdoc/>
    public override bool Handle(int queue, DescriptorChain chain, ulong features, out uint written)
    {
        written = 0;
        Span<byte> header = stackalloc byte[HeaderSize];
        if (chain.WritableLength == 0 || chain.WritableLength > uint.MaxValue || !chain.Read(0, header))
        {
            return false;
        }

        ulong room = chain.WritableLength - 1;
        Status status = (Request)BinaryPrimitives.ReadUInt32LittleEndian(header) switch
        {
            Request.Read => Read(chain, SectorOf(header), room, ref written),
            Request.Write => Write(chain, SectorOf(header), features),
            Request.Flush => _storage.Flush() ? Status.Ok : Status.IoError,
            Request.GetId => GetId(chain, room, ref written),
            _ => Status.Unsupported,
        };

        // The status is the last byte of the writable part (section 5.2.6).
        ReadOnlySpan<byte> last = [(byte)status];
        written++;
        return chain.Write(room, last);
    }

    private static ulong SectorOf(ReadOnlySpan<byte> header) => BinaryPrimitives.ReadUInt64LittleEndian(header[8..]);

    // Whole sectors that all lie on the disk.
    private bool Fits(ulong sector, ulong length) =>
        length % Sector == 0 && sector <= _storage.Size / Sector && length <= _storage.Size - (sector * Sector);

    private Status Read(DescriptorChain chain, ulong sector, ulong length, ref uint written)
    {
        if (!Fits(sector, length))
        {
            return Status.IoError;
        }

        for (ulong done = 0; done < length;)
        {
            Span<byte> part = _buffer.AsSpan(0, (int)Math.Min(Chunk, length - done));
            if (!_storage.Read((sector * Sector) + done, part) || !chain.Write(done, part))
            {
                return Status.IoError;
            }

            done += (ulong)part.Length;
            written = (uint)done;
        }

        return Status.Ok;
    }

    private Status Write(DescriptorChain chain, ulong sector, ulong features)
    {
        ulong length = chain.ReadableLength - HeaderSize;
        if (_storage.IsReadOnly || !Fits(sector, length))
        {
            return Status.IoError;
        }

        for (ulong done = 0; done < length;)
        {
            Span<byte> part = _buffer.AsSpan(0, (int)Math.Min(Chunk, length - done));
            if (!chain.Read(HeaderSize + done, part) || !_storage.Write((sector * Sector) + done, part))
            {
                return Status.IoError;
            }

            done += (ulong)part.Length;
        }

        // A driver that knows no flush relies on every write being durable (section 5.2.5.2).
        bool durable = (features & FlushCommand) != 0 || _storage.Flush();
        return durable ? Status.Ok : Status.IoError;
    }

    private Status GetId(DescriptorChain chain, ulong room, ref uint written)
    {
        ReadOnlySpan<byte> id = _id.AsSpan(0, (int)Math.Min((ulong)IdLength, room));
        written = (uint)id.Length;
        return chain.Write(0, id) ? Status.Ok : Status.IoError;
    }
}
