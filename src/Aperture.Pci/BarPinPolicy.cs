namespace Aperture.Pci;

/// <summary>What happens when the guest gives a pinned BAR another address.</summary>
public enum BarPinPolicy : byte
{
    /// <summary>The write serves sizing only; the register reads back as the pin and the BAR decodes at the pin.</summary>
    Lock,

    /// <summary>The BAR moves and the move is reported.</summary>
    Follow,

    /// <summary>As <see cref="Lock"/>; the machine ends the guest with an explanation.</summary>
    Stop,
}
