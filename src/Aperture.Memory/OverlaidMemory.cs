namespace Aperture.Memory;

/// <summary>
/// Guest physical memory as some accesses see it: what is placed in <see cref="Above"/> hides what the space below has at the same addresses, everything else
/// is that space's. System management mode sees memory so, with its own RAM above what everybody sees.
/// <para>
/// Threads: like an <see cref="AddressSpace"/>'s, the view is one volatile reference. It is written under a lock that is taken within the change lock of either
/// space, whichever changed.
/// </para>
/// </summary>
public sealed class OverlaidMemory : IDisposable
{
    private readonly Lock _gate = new();
    private readonly List<IFlatViewListener> _listeners = [];
    private readonly AddressSpace _below;
    private readonly Dispatcher _dispatcher;

    // Of the two spaces, as of their last changes; under the lock.
    private FlatView _lower = FlatView.Empty;
    private FlatView _upper = FlatView.Empty;
    private volatile FlatView _view = FlatView.Empty;

    /// <summary>Lays a space, empty yet, over <paramref name="below"/>, which outlives this.</summary>
    /// <param name="name">What the space is called in messages.</param>
    /// <param name="below">What shows where nothing is placed above.</param>
    /// <param name="dispatcher">Answers accesses to the space below; it counts those that nothing answers.</param>
    public OverlaidMemory(string name, AddressSpace below, Dispatcher dispatcher)
    {
        ArgumentNullException.ThrowIfNull(below);
        ArgumentNullException.ThrowIfNull(dispatcher);
        Above = new AddressSpace(name, below.Limits);
        (_below, _dispatcher) = (below, dispatcher);
        below.AddListener(new Layer(view => Follow(() => _lower = view)));
        Above.AddListener(new Layer(view => Follow(() => _upper = view)));
    }

    /// <summary>What is placed here wins, whatever its priority.</summary>
    public AddressSpace Above { get; }

    /// <summary>Both together.</summary>
    public FlatView View => _view;

    /// <summary>Adds a listener and brings it from the empty view to the current one.</summary>
    public void AddListener(IFlatViewListener listener)
    {
        ArgumentNullException.ThrowIfNull(listener);
        lock (_gate)
        {
            listener.Commit(FlatView.Empty, _view, FlatViewDiff.Between(FlatView.Empty, _view));
            _listeners.Add(listener);
        }
    }

    /// <summary>As <see cref="Dispatcher.Read(ref LookupCache, GuestAddress, int, out ulong)"/>, in this view.</summary>
    public AccessResult Read(GuestAddress address, int size, out ulong value) => _dispatcher.Read(_view, address, size, out value);

    /// <summary>As <see cref="Dispatcher.Write(ref LookupCache, GuestAddress, int, ulong)"/>, in this view.</summary>
    public AccessResult Write(GuestAddress address, int size, ulong value) => _dispatcher.Write(_view, address, size, value);

    /// <summary>Lets go of the memory that was placed above.</summary>
    public void Dispose() => Above.Dispose();

    private void Follow(Action change)
    {
        lock (_gate)
        {
            change();
            FlatView old = _view;
            FlatView next = FlatView.Over(_upper, _lower);
            FlatViewDiff diff = FlatViewDiff.Between(old, next);
            if (diff.IsEmpty)
            {
                return;
            }

            // A handler in the place of memory answers from the moment that the slot is gone: the flash changes so with every command.
            using IDisposable? still = diff.ReplacesMemoryByMemory ? _below.Barrier?.StopVcpus() : null;
            _view = next;
            foreach (IFlatViewListener listener in _listeners)
            {
                listener.Commit(old, next, diff);
            }
        }
    }

    private sealed class Layer(Action<FlatView> follow) : IFlatViewListener
    {
        public void Commit(FlatView old, FlatView next, FlatViewDiff diff) => follow(next);
    }
}
