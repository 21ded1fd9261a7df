namespace Aperture.Board.Tests.Fakes;

/// <summary>Remembers an interrupt input's level.</summary>
internal sealed class FakeLine : IInterruptLine
{
    public bool Asserted { get; private set; }

    public int Changes { get; private set; }

    public void Set(bool asserted)
    {
        Changes += Asserted != asserted ? 1 : 0;
        Asserted = asserted;
    }
}
