using Aperture.Linux;
using Aperture.VfioUser.Client;

namespace Aperture.Mediation.Tests;

/// <summary>
/// A monitor that maps what its guest is granted: the guest's accesses go to the mapped page where there is one, and fault where there is none. As a processor,
/// an access takes the page and uses it in one step: a revocation comes before or after.
/// </summary>
internal sealed class MappedGuest : IGrantHolder, IDisposable
{
    private const ulong Page = GrantBook.Page;

    // A process that is given pages by others copies them with the kernel's help; this lock stands for the processor's page tables.
    private readonly Lock _gate = new();
    private readonly Dictionary<(int Region, ulong Page), (HostAddress Host, bool IsWritable)> _pages = [];

    public MappedGuest(Place place, int at = 0) => Device = VfioUserDevice.Connect(
        place.Paths[at], place.Reports, options: new ClientOptions { Grants = this });

    public VfioUserDevice Device { get; }

    /// <summary>A driver's view, for registers.</summary>
    public TestGuest Registers => new(Device);

    public int Faults { get; private set; }

    public int Revocations { get; private set; }

    /// <summary>Answers revocations no more.</summary>
    public ManualResetEventSlim? Stuck { get; set; }

    public int Mapped
    {
        get
        {
            lock (_gate)
            {
                return _pages.Count;
            }
        }
    }

    public uint Read(int region, ulong offset)
    {
        byte[] bytes = new byte[4];
        return Access(region, offset, false, host => GuardedCopy.TryRead(host, bytes)) switch
        {
            TouchOutcome.Granted => BitConverter.ToUInt32(bytes),
            TouchOutcome.Trap => Registers.Read(region, offset),
            _ => uint.MaxValue,
        };
    }

    public void Write(int region, ulong offset, uint value)
    {
        if (Access(region, offset, true, host => GuardedCopy.TryWrite(host, BitConverter.GetBytes(value))) == TouchOutcome.Trap)
        {
            Registers.Write(region, offset, value);
        }
    }

    /// <summary>Takes all pages out, as before a reset.</summary>
    public void Forget() => Revoked(2, 0, ulong.MaxValue);

    public void Revoked(int region, ulong offset, ulong size)
    {
        Stuck?.Wait();
        lock (_gate)
        {
            Revocations++;
            foreach (((int Region, ulong Page) key, (HostAddress host, _)) in _pages)
            {
                if (key.Region == region && key.Page >= offset && key.Page - offset < size)
                {
                    Assert.Equal(0, MemoryMap.Unmap(host, Page));
                    _pages.Remove(key);
                }
            }
        }
    }

    public void Dispose()
    {
        Device.Dispose();
        Stuck = null;
        Forget();
    }

    private TouchOutcome Access(int region, ulong offset, bool isWrite, Func<HostAddress, int> touch)
    {
        ulong page = offset & ~(Page - 1);
        while (true)
        {
            lock (_gate)
            {
                if (_pages.TryGetValue((region, page), out (HostAddress Host, bool IsWritable) found) && (found.IsWritable || !isWrite))
                {
                    Assert.Equal(0, touch(found.Host + (offset - page)));
                    return TouchOutcome.Granted;
                }
            }

            Faults++;
            TouchOutcome outcome = Device.Touch(region, page, isWrite, Install);
            if (outcome != TouchOutcome.Granted)
            {
                return outcome;
            }
        }
    }

    private void Install(GrantedPages pages)
    {
        lock (_gate)
        {
            for (ulong at = 0; at < pages.Size; at += Page)
            {
                if (!_pages.ContainsKey((pages.Region, pages.Offset + at)))
                {
                    Assert.Equal(0, MemoryMap.MapShared(pages.File, pages.FileOffset + at, Page, pages.IsWritable, out HostAddress host));
                    _pages.Add((pages.Region, pages.Offset + at), (host, pages.IsWritable));
                }
            }
        }
    }
}
