namespace Aperture.TestKit.Devices;

/// <summary>Guest memory of a few pages from address 0 that counts and can refuse a page on demand.</summary>
public sealed class FakeDma(int size) : IDma
{
    public byte[] Memory { get; } = new byte[size];

    public int Accesses { get; private set; }

    public ulong? BrokenPage { get; set; }

    public Action? OnAccess { get; set; }

    public bool Read(GuestAddress address, Span<byte> destination)
    {
        bool reachable = Reach(address, destination.Length);
        if (reachable)
        {
            Memory.AsSpan((int)address.Value, destination.Length).CopyTo(destination);
        }

        return reachable;
    }

    public bool Write(GuestAddress address, ReadOnlySpan<byte> source)
    {
        bool reachable = Reach(address, source.Length);
        if (reachable)
        {
            source.CopyTo(Memory.AsSpan((int)address.Value));
        }

        return reachable;
    }

    private bool Reach(GuestAddress address, int length)
    {
        Accesses++;
        OnAccess?.Invoke();
        bool inside = address.Value <= (ulong)Memory.Length && (ulong)Memory.Length - address.Value >= (ulong)length;
        bool broken = BrokenPage is { } page && length > 0 && address.Value >> 12 <= page && (address.Value + (ulong)length - 1) >> 12 >= page;
        return inside && !broken;
    }
}
