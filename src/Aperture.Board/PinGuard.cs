using Aperture.Pci;

namespace Aperture.Board;

/// <summary>
/// Carries out the policies of pinned BARs. A BAR that follows the guest is reported where it begins to decode (<c>pin.moved</c>); one that must not move
/// ends the run when the guest has decoding on with another address. Called with the hierarchy's lock held.
/// </summary>
/// <param name="decode">What decodes now.</param>
/// <param name="events">Told of BARs that follow the guest.</param>
/// <param name="stop">Ends the run with a sentence; called once.</param>
public sealed class PinGuard(Func<DecodeMap> decode, IEventSink events, Action<string> stop) : IConfigWriteSink
{
    private const ConfigChange Moves = ConfigChange.PinnedBarWrite | ConfigChange.BarProgrammed | ConfigChange.DecodeMap;
    private readonly Dictionary<Bar, GuestAddress> _places = [];
    private bool _stopped;

    /// <inheritdoc/>
    public void Written(PciFunction function, ConfigChange change, int offset, int size, uint value)
    {
        ArgumentNullException.ThrowIfNull(function);
        if ((change & Moves) != 0)
        {
            Check(function, change);
        }
    }

    /// <inheritdoc/>
    public void Changed(PciFunction function)
    {
        ArgumentNullException.ThrowIfNull(function);
        Check(function, ConfigChange.DecodeMap);
    }

    /// <summary>After a reset: every pinned BAR is at its pin.</summary>
    public void Reset() => _places.Clear();

    private void Check(PciFunction function, ConfigChange change)
    {
        foreach (Bar bar in function.Bars)
        {
            if (bar is { PinPolicy: BarPinPolicy.Stop, IsMoved: true, IsSpaceEnabled: true } && !_stopped)
            {
                _stopped = true;
                stop(Sentence(function, bar));
            }
        }

        if ((change & ConfigChange.DecodeMap) != 0)
        {
            Follow(decode().Following);
        }
    }

    private static string Sentence(PciFunction function, Bar bar) =>
        $"{function.Name} ({function.Bdf}) {bar.Name} is pinned at {bar.Pin}, and the guest gave it {bar.Requested} with decoding on, "
        + "so the run was stopped as policy=stop says; "
        + "keep the guest from moving it (Linux: leave out pci=realloc), or let it with policy=follow, or hold the BAR at its pin with policy=lock.";

    private void Follow(IReadOnlyList<DecodedBar> following)
    {
        // No enumerator: this runs at every change of the map, and mostly nothing is pinned this way.
        for (int i = 0; i < following.Count; i++)
        {
            DecodedBar bar = following[i];
            GuestAddress pin = bar.Bar.Pin!.Value;
            GuestAddress old = _places.GetValueOrDefault(bar.Bar, pin);
            _places[bar.Bar] = bar.Range.Start;
            if (old != bar.Range.Start)
            {
                Report(bar, pin, old);
            }
        }
    }

    private void Report(DecodedBar bar, GuestAddress pin, GuestAddress old) => events.Write("pin.moved", json =>
    {
        json.WriteBar(bar.Bar);
        json.WriteAddress("pin", pin);
        json.WriteAddress("old", old);
        json.WriteAddress("new", bar.Range.Start);
    });
}
