namespace Aperture.TestKit.Devices;

/// <summary>An interrupt input that remembers its level and counts its changes.</summary>
public sealed class FakeLine : IInterruptLine
{
    public bool Level { get; private set; }

    public int Edges { get; private set; }

    public void Set(bool asserted)
    {
        Edges += asserted != Level ? 1 : 0;
        Level = asserted;
    }
}
