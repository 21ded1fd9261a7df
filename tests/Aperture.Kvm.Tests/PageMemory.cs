using System.Runtime.InteropServices;

namespace Aperture.Kvm.Tests;

/// <summary>Page-aligned memory that stays where it is, to back a slot.</summary>
internal sealed class PageMemory
{
    private const int Page = 4096;

    private readonly byte[] _bytes;
    private readonly int _offset;

    public PageMemory(int size)
    {
        Size = size;
        _bytes = GC.AllocateArray<byte>(size + Page, pinned: true);
        ulong start = (ulong)Marshal.UnsafeAddrOfPinnedArrayElement(_bytes, 0);
        _offset = (int)((Page - (start % Page)) % Page);
        Address = new HostAddress(start + (ulong)_offset);
    }

    public int Size { get; }

    public HostAddress Address { get; }

    public Span<byte> Bytes => _bytes.AsSpan(_offset, Size);
}
