using System.Text;
using Aperture.Memory;

namespace Aperture.Devices.Display;

/// <summary>The text on a screen in text mode.</summary>
/// <param name="Columns">Characters a line.</param>
/// <param name="Lines">The lines from the top, without the blanks at their ends; code page 437 as Unicode.</param>
/// <param name="CursorLine">The line the cursor is in, or -1 when it is elsewhere or off.</param>
/// <param name="CursorColumn">Its column, or -1.</param>
public sealed record TextScreen(int Columns, IReadOnlyList<string> Lines, int CursorLine, int CursorColumn)
{
    private const int Cells = 0x10000;

    /// <summary>The lines, each ended by a line feed, without the empty ones at the end.</summary>
    public override string ToString()
    {
        StringBuilder text = new();
        int last = Lines.Count;
        while (last > 0 && Lines[last - 1].Length == 0)
        {
            last--;
        }

        for (int i = 0; i < last; i++)
        {
            text.Append(Lines[i]).Append('\n');
        }

        return text.ToString();
    }

    internal static TextScreen Read(VgaState state, RamBlock memory)
    {
        TextGeometry geometry = new(state);
        string[] lines = new string[geometry.Rows];
        StringBuilder line = new(geometry.Columns);
        for (int row = 0; row < lines.Length; row++)
        {
            line.Clear();
            for (int column = 0; column < geometry.Columns; column++)
            {
                line.Append(CodePage437.ToUnicode(memory.Read<byte>(geometry.CellAt(row, column) * 4)));
            }

            lines[row] = line.ToString().TrimEnd(' ');
        }

        (int cursorRow, int cursorColumn) = geometry.Cursor;
        return new TextScreen(geometry.Columns, lines, cursorRow, cursorColumn);
    }

    /// <summary>Where the characters of a text mode are.</summary>
    internal readonly struct TextGeometry
    {
        private readonly int _start;
        private readonly int _stride;
        private readonly int _cursor;

        public TextGeometry(VgaState state)
        {
            byte[] crtc = state.Crtc;
            Columns = crtc[VgaIndex.CrtcHorizontalEnd] + 1;
            CellHeight = (crtc[VgaIndex.CrtcMaxScan] & 0x1F) + 1;
            Rows = Math.Max(1, VerticalEnd(crtc) / CellHeight);
            _stride = crtc[VgaIndex.CrtcOffset] * 2;
            _start = crtc[VgaIndex.CrtcStartHigh] << 8 | crtc[VgaIndex.CrtcStartLow];
            bool hidden = (crtc[VgaIndex.CrtcCursorStart] & 0x20) != 0;
            _cursor = hidden ? -1 : (crtc[VgaIndex.CrtcCursorHigh] << 8 | crtc[VgaIndex.CrtcCursorLow]) - _start;
        }

        public int Columns { get; }

        public int Rows { get; }

        /// <summary>Scan lines of a character.</summary>
        public int CellHeight { get; }

        public (int Row, int Column) Cursor
        {
            get
            {
                int row = _cursor < 0 || _stride == 0 ? -1 : _cursor / _stride;
                int column = row < 0 ? -1 : _cursor % _stride;
                return row < Rows && column < Columns ? (row, column) : (-1, -1);
            }
        }

        /// <summary>Scan lines that are shown.</summary>
        public static int VerticalEnd(byte[] crtc)
        {
            byte overflow = crtc[VgaIndex.CrtcOverflow];
            return (crtc[VgaIndex.CrtcVerticalEnd] | (overflow & 0x02) << 7 | (overflow & 0x40) << 3) + 1;
        }

        /// <summary>The address of a character in each plane: plane 0 holds it, plane 1 its attribute.</summary>
        public ulong CellAt(int row, int column) => (ulong)((_start + (row * _stride) + column) & (Cells - 1));
    }
}
