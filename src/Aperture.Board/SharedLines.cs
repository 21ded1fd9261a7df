namespace Aperture.Board;

/// <summary>
/// Inputs of the interrupt controllers that several drivers share: each is asserted while any of its drivers asserts, as open-drain lines are. Drivers may be
/// on any thread.
/// </summary>
internal sealed class SharedLines(Func<uint, IInterruptLine> line)
{
    private readonly Dictionary<uint, SharedLine> _lines = [];

    /// <summary>
    /// A new driver of the input for global system interrupt <paramref name="gsi"/>. While the board is built, or under its hierarchy's lock.
    /// </summary>
    public IInterruptLine Source(uint gsi)
    {
        if (!_lines.TryGetValue(gsi, out SharedLine? shared))
        {
            _lines.Add(gsi, shared = new SharedLine(line(gsi)));
        }

        return new Driver(shared);
    }

    private sealed class SharedLine(IInterruptLine target)
    {
        private readonly Lock _gate = new();
        private int _asserted;

        public void Change(int by)
        {
            lock (_gate)
            {
                _asserted += by;
                target.Set(_asserted > 0);
            }
        }
    }

    private sealed class Driver(SharedLine line) : IInterruptLine
    {
        private readonly Lock _order = new();
        private bool _asserted;

        public void Set(bool asserted)
        {
            lock (_order)
            {
                if (_asserted != asserted)
                {
                    _asserted = asserted;
                    line.Change(asserted ? 1 : -1);
                }
            }
        }
    }
}
