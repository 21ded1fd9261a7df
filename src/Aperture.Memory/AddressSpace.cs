namespace Aperture.Memory;

/// <summary>
/// What is where: one instance for guest physical memory and one for I/O ports. Regions are placed and removed in changes
/// (<see cref="Begin"/>); each commit publishes one new <see cref="FlatView"/> and tells the listeners the difference.
/// <para>
/// Threads: <see cref="View"/> is one volatile reference that any thread may read at any time and use for as long as it likes. It is written
/// only by a commit, under the change lock; the volatile write pairs with the volatile read, so who sees a view sees all of it.
/// </para>
/// <para>
/// Lifetime: every <see cref="RamBlock"/> that was ever placed stays mapped until the space is disposed, because a reader may still hold a view that
/// names it; its pages go back to the host as soon as no region of it is placed and its creator has disposed of it. Not so a device region's foreign block:
/// nobody who holds a view touches it, so a device can be removed for good while the space lives on; its owner disposes it after the commit that removed the
/// region. Dispose the space only after the threads that read through it have ended.
/// </para>
/// </summary>
public sealed class AddressSpace : IDisposable
{
    private readonly Lock _gate = new();
    private readonly List<IFlatViewListener> _listeners = [];

    // Every block that was ever placed, and how many of its regions are placed now.
    private readonly Dictionary<RamBlock, int> _held = [];
    private readonly RegionRoster _roster = new();
    private readonly PlacementTable _placements = new();
    private readonly FlatViewBuilder _builder;

    // Of the change that is being published; kept, so that a change leaves little garbage.
    private readonly List<Placement> _gone = [];
    private readonly List<Placement> _come = [];
    private readonly List<AddressRange> _changed = [];
    private volatile FlatView _view = FlatView.Empty;
    private AddressChange? _open;
    private long _sequence;
    private bool _disposed;

    /// <summary>Makes an empty space whose addresses are <paramref name="limits"/> (for memory all but the last byte of 2^64, for ports 64 KiB).</summary>
    public AddressSpace(string name, AddressRange limits)
    {
        ArgumentException.ThrowIfNullOrEmpty(name);
        if (limits.IsEmpty || limits.Last.Value == ulong.MaxValue)
        {
            throw new ArgumentOutOfRangeException(nameof(limits), $"{name}: limits must hold an address and end below 2^64 - 1");
        }

        Name = name;
        Limits = limits;
        _builder = new FlatViewBuilder(_placements);
    }

    /// <summary>What the space is called in messages.</summary>
    public string Name { get; }

    /// <summary>Where regions may be placed.</summary>
    public AddressRange Limits { get; }

    /// <summary>The current view.</summary>
    public FlatView View => _view;

    /// <summary>The regions placed now and where, sorted by address. Made anew by each call, which waits for a change that another thread has open.</summary>
    public IReadOnlyList<Placement> Placements
    {
        get
        {
            lock (_gate)
            {
                return _placements.Snapshot();
            }
        }
    }

    /// <summary>
    /// What was dispatched to each region that was ever in the view, also to those that left it, in the order in which they came. Made anew by each call.
    /// </summary>
    public IReadOnlyList<RegionCount> Counts => _roster.Sums();

    /// <summary>What keeps vCPUs out of the guest while live memory is replaced; null while there are none. Set it before the first vCPU runs.</summary>
    public IViewBarrier? Barrier { get; set; }

    /// <summary>A space for guest physical memory.</summary>
    public static AddressSpace ForMemory() => new("memory", new AddressRange(GuestAddress.Zero, ulong.MaxValue));

    /// <summary>A space for the 64 Ki I/O ports.</summary>
    public static AddressSpace ForPorts() => new("I/O ports", new AddressRange(GuestAddress.Zero, 0x1_0000));

    /// <summary>Adds a listener and brings it from the empty view to the current one.</summary>
    public void AddListener(IFlatViewListener listener)
    {
        ArgumentNullException.ThrowIfNull(listener);
        lock (_gate)
        {
            RefuseNesting();
            FlatView view = _view;
            listener.Commit(FlatView.Empty, view, FlatViewDiff.Between(FlatView.Empty, view));

            // Only now: one that cannot follow the view is not asked again.
            _listeners.Add(listener);
        }
    }

    /// <summary>Takes a listener out, if it is there: it is told nothing more, not even that what it knows of is gone.</summary>
    public void RemoveListener(IFlatViewListener listener)
    {
        ArgumentNullException.ThrowIfNull(listener);
        lock (_gate)
        {
            RefuseNesting();
            _listeners.Remove(listener);
        }
    }

    /// <summary>
    /// Opens a change: the calling thread holds the change lock until it disposes the result, which it must. Without
    /// <see cref="AddressChange.Commit"/> nothing happens.
    /// </summary>
    /// <exception cref="InvalidOperationException">This thread already has a change open (a listener must not change the space).</exception>
    public AddressChange Begin()
    {
        _gate.Enter();
        try
        {
            RefuseNesting();
            return _open = new AddressChange(this);
        }
        catch
        {
            _gate.Exit();
            throw;
        }
    }

    /// <summary>Lets go of the memory. Nobody may use the space, its views or memory reached through them afterwards.</summary>
    public void Dispose()
    {
        lock (_gate)
        {
            if (_disposed)
            {
                return;
            }

            _disposed = true;
            _view = FlatView.Empty;
            _placements.Clear();
            foreach ((RamBlock block, int placed) in _held)
            {
                if (placed > 0)
                {
                    block.LeaveSpace();
                }

                block.Release();
            }

            _held.Clear();
        }
    }

    internal long NextSequence() => ++_sequence;

    internal void Hold(RamBlock block)
    {
        if (!_held.TryGetValue(block, out _))
        {
            block.AddReference();
            _held.Add(block, 0);
        }
    }

    // Each block as often as regions of it came or went. After the view was published and the listeners have followed it.
    internal void Count(List<RamBlock> placed, List<RamBlock> removed)
    {
        foreach (RamBlock block in placed)
        {
            if (_held[block]++ == 0)
            {
                block.EnterSpace();
            }
        }

        foreach (RamBlock block in removed)
        {
            if (--_held[block] == 0)
            {
                block.LeaveSpace();
            }
        }
    }

    internal void Close()
    {
        _open = null;
        _gate.Exit();
    }

    internal Placement? Find(Region region) => _placements.TryFind(region, out Placement? placement) ? placement : null;

    /// <summary>Takes each region from where it is, and puts it where <paramref name="edits"/> says, if anywhere.</summary>
    internal void Publish(Dictionary<Region, Placement?> edits)
    {
        Sort(edits);
        _placements.Apply(_gone, _come);
        FlatView old = _view;
        FlatView next = _builder.Update(old, _changed, out FlatViewDiff diff);
        _gone.Clear();
        _come.Clear();
        _changed.Clear();
        if (diff.IsEmpty)
        {
            return;
        }

        _roster.Admit(diff.Added);
        using IDisposable? still = diff.ReplacesLiveMemory ? Barrier?.StopVcpus() : null;
        _view = next;
        ApertureException? first = null;
        foreach (IFlatViewListener listener in _listeners)
        {
            try
            {
                listener.Commit(old, next, diff);
            }
            catch (ApertureException failure)
            {
                // The others must follow the view all the same; the first failure is the one to report.
                first ??= failure;
            }
        }

        if (first is not null)
        {
            throw new ApertureException(first.Message, first.ExitCode, first);
        }
    }

    private void Sort(Dictionary<Region, Placement?> edits)
    {
        foreach ((Region region, Placement? next) in edits)
        {
            if (_placements.TryFind(region, out Placement? before))
            {
                _gone.Add(before);
                _changed.Add(before.Range);
            }

            if (next is not null)
            {
                _come.Add(next);
                _changed.Add(next.Range);
            }
        }

        _gone.Sort(PlacementTable.Compare);
        _come.Sort(PlacementTable.Compare);
        _changed.Sort();
    }

    private void RefuseNesting()
    {
        ObjectDisposedException.ThrowIf(_disposed, this);
        if (_open is not null)
        {
            throw new InvalidOperationException($"{Name}: a change is already open on this thread");
        }
    }
}
