using Aperture.Linux;
using Aperture.Memory.Faulting;

namespace Aperture.TestKit.Parts.Faulting;

/// <summary>
/// A file of memory whose pages begin with their number from 1, and who grants them: whatever is asked for at the same offset, unless told otherwise.
/// </summary>
public sealed class Grantor : IFaultAnswerer, IDisposable
{
    /// <summary>Bytes of a page.</summary>
    public const ulong Page = FaultingMemory.Page;

    /// <summary>Makes as much memory as the file has; skips the test where that cannot be.</summary>
    public Grantor(int pages, FaultPager? pager = null)
    {
        Assert.Equal(0, MemoryFile.TryMake("grantor", (ulong)pages * Page, 0, out SafeFileDescriptor file));
        File = file;
        for (int page = 0; page < pages; page++)
        {
            Assert.Equal(4, FileDescriptors.TryWriteAt(file, (ulong)page * Page, BitConverter.GetBytes(page + 1)));
        }

        Pager = pager ?? Start(Events);
        Memory = Pager.Make("grants", (ulong)pages * Page, 0, (ulong)pages * Page, this);
    }

    /// <summary>The source.</summary>
    public SafeFileDescriptor File { get; }

    /// <summary>What is told.</summary>
    public NoticedEvents Events { get; } = new();

    /// <summary>Who resolves the touches.</summary>
    public FaultPager Pager { get; }

    /// <summary>What is touched.</summary>
    public FaultingMemory Memory { get; }

    /// <summary>Answers a touch; true when it granted.</summary>
    public Func<ulong, bool>? OnTouch { get; set; }

    private static FaultPager Start(IEventSink events)
    {
        FaultPager? pager = FaultPager.TryStart("test", events, out string whyNot);
        Assert.SkipWhen(pager is null, whyNot);
        return pager;
    }

    /// <inheritdoc/>
    public bool Touched(FaultingMemory memory, ulong offset) => OnTouch is { } answer ? answer(offset) : Give(offset, 1);

    /// <summary>Grants pages of the same offset.</summary>
    public bool Give(ulong offset, int pages, int shift = 0, bool isWritable = true)
    {
        ulong from = offset + ((ulong)shift * Page);
        Assert.Equal(0, Memory.Grant(offset, (ulong)pages * Page, new GrantSource(1, File, from, isWritable)));
        return true;
    }

    /// <summary>What a guest would read at the start of a page. Waits for the grant.</summary>
    public uint Read(int page)
    {
        byte[] bytes = new byte[4];
        Assert.Equal(0, GuardedCopy.TryRead(Memory.Address + ((ulong)page * Page), bytes));
        return BitConverter.ToUInt32(bytes);
    }

    /// <summary>As a guest would write.</summary>
    public int Write(int page, uint value) => GuardedCopy.TryWrite(Memory.Address + ((ulong)page * Page), BitConverter.GetBytes(value));

    /// <summary>What is at the start of a page of the file.</summary>
    public uint InFile(int page)
    {
        byte[] bytes = new byte[4];
        Assert.Equal(4, FileDescriptors.TryReadAt(File, (ulong)page * Page, bytes));
        return BitConverter.ToUInt32(bytes);
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        Memory.Dispose();
        Pager.Dispose();
        File.Dispose();
    }
}
