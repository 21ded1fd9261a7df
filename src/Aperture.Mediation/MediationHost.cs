using Aperture.Linux;
using Aperture.VfioUser.Server;

namespace Aperture.Mediation;

/// <summary>
/// Serves a mediator to guests, each at a UNIX socket of its own (vfio-user protocol, "Backend Program Conventions"): a connection there is a guest's
/// session. It takes the mediator over. What goes wrong with a guest ends that guest's session and is reported.
/// </summary>
public sealed class MediationHost : IDisposable
{
    private readonly IMediator _mediator;
    private readonly IEventSink _events;
    private readonly ServerLimits? _limits;
    private readonly Lock _gate = new();
    private readonly List<(VfioUserServer Server, MediatedDevice Device)> _places = [];

    // Held while the servers end: a second caller returns when the sockets are gone too.
    private readonly Lock _ending = new();
    private bool _stopping;

    /// <summary>Serves nobody yet.</summary>
    public MediationHost(IMediator mediator, IEventSink events, ServerLimits? limits = null)
    {
        ArgumentNullException.ThrowIfNull(mediator);
        ArgumentNullException.ThrowIfNull(events);
        (_mediator, _events, _limits) = (mediator, events, limits);
    }

    /// <summary>Who has which page of the mediator's memory.</summary>
    public SourceLedger Ledger { get; } = new();

    /// <summary>A place for a guest at <paramref name="path"/>. A socket there that nobody listens at any more is replaced.</summary>
    /// <exception cref="ApertureException">The path cannot be listened at, or the mediator has no room for another guest.</exception>
    public void Listen(string path)
    {
        ArgumentException.ThrowIfNullOrEmpty(path);
        MediatedDevice device = new(_mediator, path, Ledger, _events);
        Add(VfioUserServer.Listen(path, device, _events, _limits), device);
    }

    /// <summary>A place for a guest at an inherited descriptor, which it takes over: a connection, or a socket that listens.</summary>
    /// <exception cref="ApertureException">It is no socket, or the mediator has no room for another guest.</exception>
    public void Adopt(SafeFileDescriptor socket)
    {
        ArgumentNullException.ThrowIfNull(socket);
        MediatedDevice device = new(_mediator, $"descriptor {socket.Number}", Ledger, _events);
        Add(VfioUserServer.FromDescriptor(socket, device, _events, _limits), device);
    }

    /// <summary>The grants of the guest at a place, in the order of the places; empty when nobody is there.</summary>
    public IReadOnlyList<Grant> GrantsOf(int place)
    {
        lock (_gate)
        {
            return _places[place].Device.Guest?.Grants ?? [];
        }
    }

    /// <summary>Waits until no place is served any more: for ever where one listens, until <see cref="Stop"/>.</summary>
    public void Wait()
    {
        VfioUserServer[] servers;
        lock (_gate)
        {
            servers = [.. _places.Select(static p => p.Server)];
        }

        foreach (VfioUserServer server in servers)
        {
            server.Wait();
        }
    }

    /// <summary>Ends all sessions and takes the sockets away. From any thread but a session's.</summary>
    public void Stop()
    {
        VfioUserServer[] servers;
        lock (_gate)
        {
            _stopping = true;
            servers = [.. _places.Select(static p => p.Server)];
        }

        lock (_ending)
        {
            foreach (VfioUserServer server in servers)
            {
                server.Dispose();
            }
        }
    }

    /// <summary>The same, and disposes the mediator.</summary>
    public void Dispose()
    {
        Stop();
        Wait();
        _mediator.Dispose();
    }

    private void Add(VfioUserServer server, MediatedDevice device)
    {
        lock (_gate)
        {
            if (!_stopping)
            {
                _places.Add((server, device));
                return;
            }
        }

        server.Dispose();
    }
}
