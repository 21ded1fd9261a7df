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
}

/// <summary>Carries INTx of the PCI functions to the inputs that the board's wiring gives their pins. Functions that meet at one input are ORed.</summary>
internal sealed class InterruptRouter(IIntxWiring wiring)
{
    private readonly SharedLines _inputs = new(wiring.LineOf);

    /// <summary>Connects the INTx of <paramref name="function"/>, which is on its bus.</summary>
    /// <returns>The global system interrupt that it arrives at; null when the function has no pin.</returns>
    public uint? Connect(PciFunction function)
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

    /// <summary>Lets go of the INTx of <paramref name="function"/>, asserted or not.</summary>
    public static void Disconnect(PciFunction function)
    {
        function.IntxLine?.Set(false);
        function.IntxLine = null;
    }
}
