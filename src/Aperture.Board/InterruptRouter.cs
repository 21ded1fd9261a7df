using Aperture.Pci;

namespace Aperture.Board;

/// <summary>How a board wires the interrupt pins of its root bus.</summary>
public interface IIntxWiring
{
    /// <summary>
    /// The global system interrupt of pin <paramref name="pin"/> (0 for INTA) of root device <paramref name="device"/>, as the tables tell the guest.
    /// </summary>
    uint GsiOf(int device, int pin);

    /// <summary>The wire that carries <paramref name="gsi"/>, one of those that <see cref="GsiOf"/> answers.</summary>
    IInterruptLine LineOf(uint gsi);

    /// <summary>
    /// Tells <paramref name="follower"/> which input of the 8259s the wire of <paramref name="gsi"/> reaches as well, null for none: now, where it reaches
    /// one, and at every change, until what comes back is disposed. With the hierarchy's lock held. Null on a board without such routes.
    /// </summary>
    IDisposable? FollowIsa(uint gsi, Action<uint?> follower) => null;
}

/// <summary>Carries INTx of the PCI functions to the inputs that the board's wiring gives their pins. Functions that meet at one input are ORed.</summary>
internal sealed class InterruptRouter(IIntxWiring wiring)
{
    private readonly SharedLines _inputs = new(wiring.LineOf);
    private readonly Dictionary<PciFunction, IDisposable> _followers = [];

    /// <summary>Connects the INTx of a function that is on its bus, and tells it where it arrives.</summary>
    public void Connect(MadeFunction made)
    {
        uint? gsi = Connect(made.Function);
        made.Wired(gsi);
        if (gsi is { } wire && made.RoutedToIsa is { } follower && wiring.FollowIsa(wire, follower) is { } following)
        {
            _followers.Add(made.Function, following);
        }
    }

    /// <summary>Lets go of the INTx of <paramref name="function"/>, asserted or not.</summary>
    public void Disconnect(PciFunction function)
    {
        if (_followers.Remove(function, out IDisposable? following))
        {
            following.Dispose();
        }

        function.IntxLine?.Set(false);
        function.IntxLine = null;
    }

    private uint? Connect(PciFunction function)
    {
        IntxRoute route = PciInterrupts.Swizzle(function);
        if (route.Pin == 0)
        {
            return null;
        }

        uint gsi = wiring.GsiOf(route.Device, route.Pin - 1);
        function.IntxLine = _inputs.Source(gsi);
        return gsi;
    }
}
