using Aperture.Assignment;
using Aperture.Linux;
using Aperture.Memory;

namespace Aperture.Mediation;

/// <summary>Memory that pages are granted from. Stays the mediator's, which keeps it until its own end. Thread-safe.</summary>
public abstract record GrantSource
{
    /// <summary>What messages call it.</summary>
    public abstract string Name { get; }

    /// <summary>Bytes.</summary>
    public abstract ulong Size { get; }

    /// <summary>What a client that maps pages maps them from, and gets whole; null: its guest's accesses come as messages.</summary>
    public abstract SafeFileDescriptor? File { get; }

    /// <summary>Where in <see cref="File"/> its first byte is.</summary>
    public virtual ulong FileOffset => 0;

    /// <summary>A block of memory of this process.</summary>
    public static implicit operator GrantSource(RamBlock block) => FromRamBlock(block);

    /// <summary>The same, as a method.</summary>
    public static GrantSource FromRamBlock(RamBlock block) => new RamSource(block);

    /// <summary>Copies bytes out.</summary>
    /// <exception cref="ApertureException">The memory is lost.</exception>
    public abstract void Read(ulong offset, Span<byte> destination);

    /// <summary>Copies bytes in.</summary>
    /// <exception cref="ApertureException">The memory is lost.</exception>
    public abstract void Write(ulong offset, ReadOnlySpan<byte> source);

    /// <summary>Fills with zeros.</summary>
    /// <exception cref="ApertureException">The memory is lost.</exception>
    public abstract void Clear(ulong offset, ulong size);
}

/// <summary>Memory of this process.</summary>
/// <param name="Block">The memory; shared (<see cref="RamBlock.File"/>), so that clients can map it.</param>
public sealed record RamSource(RamBlock Block) : GrantSource
{
    private const ulong Piece = 1 << 20;

    /// <inheritdoc/>
    public override string Name => Block.Name;

    /// <inheritdoc/>
    public override ulong Size => Block.Size;

    /// <inheritdoc/>
    public override SafeFileDescriptor? File => Block.File;

    /// <inheritdoc/>
    public override void Read(ulong offset, Span<byte> destination) => Block.Read(offset, destination);

    /// <inheritdoc/>
    public override void Write(ulong offset, ReadOnlySpan<byte> source) => Block.Write(offset, source);

    /// <inheritdoc/>
    public override void Clear(ulong offset, ulong size)
    {
        for (ulong done = 0; done < size; done += Piece)
        {
            Block.AsSpan(offset + done, (int)Math.Min(Piece, size - done)).Clear();
        }
    }
}

/// <summary>
/// Memory of a device of the host: a region of it. This process reaches it through the device, which answers with an errno when it is lost, and never by
/// loads and stores, which would end the process then.
/// </summary>
/// <param name="Device">The device.</param>
/// <param name="Region">Number of the region, which can be read and written.</param>
public sealed record RegionSource(IVfioDevice Device, int Region) : GrantSource
{
    private const int Piece = 4096;

    /// <inheritdoc/>
    public override string Name => $"region {Region} of {Device.Name}";

    /// <inheritdoc/>
    public override ulong Size => Device.Regions[Region].Size;

    /// <inheritdoc/>
    public override SafeFileDescriptor? File => Share(out _);

    /// <inheritdoc/>
    public override ulong FileOffset => Share(out ulong offset) is null ? 0 : offset;

    /// <inheritdoc/>
    public override void Read(ulong offset, Span<byte> destination) => Check(Device.Read(Region, offset, destination));

    /// <inheritdoc/>
    public override void Write(ulong offset, ReadOnlySpan<byte> source) => Check(Device.Write(Region, offset, source));

    /// <inheritdoc/>
    public override void Clear(ulong offset, ulong size)
    {
        Span<byte> zeros = stackalloc byte[Piece];
        zeros.Clear();
        for (ulong done = 0; done < size; done += Piece)
        {
            Check(Device.Write(Region, offset + done, zeros[..(int)Math.Min(Piece, size - done)]));
        }
    }

    private SafeFileDescriptor? Share(out ulong offset)
    {
        offset = 0;
        return (Device as IRegionFiles)?.Share(Region, out offset);
    }

    private void Check(int errno)
    {
        if (errno != 0)
        {
            throw new ApertureException(
                $"{Name} is lost ({Errno.Name(errno)}); give the device back to the host and start again", ApertureException.HostFailure);
        }
    }
}
