using System.Runtime.CompilerServices;
using Aperture.Pci;

namespace Aperture.Board;

/// <summary>
/// Tells when a guest's intention to move a pinned 64-bit BAR is whole. It writes such an address in two halves, in either order, and between the two the
/// registers name an address that nobody asked for. An intention is whole once every byte of address was given, or once decoding is switched on. Sizing a
/// half and putting back what was there gives nothing. Called with the hierarchy's lock held.
/// </summary>
internal sealed class RefusedMoves
{
    private readonly ConditionalWeakTable<Bar, Intention> _bars = [];

    /// <summary>After a write to the registers of <paramref name="bar"/>, which is pinned: true when with it the guest has moved the BAR.</summary>
    /// <param name="bar">The BAR.</param>
    /// <param name="offset">The first byte written, in configuration space; a write lies within one register.</param>
    /// <param name="size">Bytes written.</param>
    public bool Written(Bar bar, int offset, int size) => bar.Kind.Is64Bit()
        ? _bars.GetValue(bar, static made => new Intention(made)).Take(offset - bar.Register, size)
        : bar.IsMoved;

    /// <summary>After decoding was switched on: true when the guest had given <paramref name="bar"/> part of an address.</summary>
    public bool Enabled(Bar bar) => _bars.TryGetValue(bar, out Intention? intention) && intention.End();

    /// <summary>After a reset: every pinned BAR is at its pin.</summary>
    public void Clear() => _bars.Clear();

    /// <summary>What the guest did to the two registers of one BAR since its last whole intention.</summary>
    private sealed class Intention(Bar bar)
    {
        private readonly bool[] _sizing = new bool[2];

        // What each half held before it was sized.
        private readonly uint[] _before = [Half(bar.Pin!.Value.Value, 0), Half(bar.Pin!.Value.Value, 1)];

        // A bit for each byte of the two registers that was given, and for each that has address bits.
        private int _given;
        private readonly int _needed = Enumerable.Range(0, 8).Where(i => (byte)(~(bar.Size - 1) >> (8 * i)) != 0).Sum(i => 1 << i);

        public bool Take(int first, int count)
        {
            int half = first / 4;
            uint mask = Half(~(bar.Size - 1), half);
            uint value = Half(bar.Requested.Value, half) & mask;
            uint pin = Half(bar.Pin!.Value.Value, half);
            bool sized = value == mask && pin != mask;

            // A locked BAR read as its pin before it was sized, whatever the guest had asked for.
            bool putBack = _sizing[half] && (value == _before[half] || value == pin);
            _sizing[half] = sized;
            if (!sized)
            {
                _given |= putBack ? 0 : ((1 << count) - 1) << first;
                _before[half] = value;
            }

            return (_given & _needed) == _needed && !_sizing[0] && !_sizing[1] && End();
        }

        public bool End()
        {
            bool moved = (_given & _needed) != 0 && bar.IsMoved;
            _given = 0;
            return moved;
        }

        private static uint Half(ulong address, int half) => (uint)(address >> (32 * half));
    }
}
