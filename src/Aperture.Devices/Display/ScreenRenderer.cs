using Aperture.Memory;

namespace Aperture.Devices.Display;

/// <summary>
/// Makes a picture of what the adapter shows: text with the guest's own font, 16-colour planar and 256-colour modes, and the Bochs modes. A blanked
/// screen is black. CGA graphics are drawn as if planar.
/// </summary>
internal static class ScreenRenderer
{
    private const int PlaneMask = 0xFFFF;
    private const int DotsPerCharacter = 8;
    private const byte ScreenOff = 0x20;

    /// <summary>Renders the state, which nobody else may be changing.</summary>
    public static ScreenImage Render(VgaState state, RamBlock memory)
    {
        DispiMode mode = state.Dispi;
        if (mode.Enabled)
        {
            Canvas canvas = new(mode.Width, mode.Height, state);
            if (mode.Depth == 4)
            {
                Planar(canvas, state, memory, (mode.Y * mode.Stride) + (mode.X / 8), mode.Stride, 1);
            }
            else
            {
                Linear(canvas, mode, memory);
            }

            return canvas.Image;
        }

        byte[] crtc = state.Crtc;
        int lines = TextScreen.TextGeometry.VerticalEnd(crtc);
        if (!state.IsGraphics)
        {
            return Text(state, memory);
        }

        // Each line may be shown several times, and all of them twice.
        int repeat = ((crtc[VgaIndex.CrtcMaxScan] & 0x1F) + 1) * ((crtc[VgaIndex.CrtcMaxScan] & 0x80) != 0 ? 2 : 1);
        int width = (crtc[VgaIndex.CrtcHorizontalEnd] + 1) * DotsPerCharacter;
        int start = crtc[VgaIndex.CrtcStartHigh] << 8 | crtc[VgaIndex.CrtcStartLow];
        int stride = crtc[VgaIndex.CrtcOffset] * 2;
        bool manyColors = (state.Graphics[VgaIndex.GraphicsMode] & 0x40) != 0;
        Canvas picture = new(manyColors ? width / 2 : width, Math.Max(1, lines / repeat), state);
        if (!IsBlank(state) && manyColors)
        {
            Bytes(picture, memory, start * 4, stride * 4);
        }
        else if (!IsBlank(state))
        {
            Planar(picture, state, memory, start, stride, 1);
        }

        return picture.Image;
    }

    private static bool IsBlank(VgaState state) => !state.PaletteOn || (state.Sequencer[VgaIndex.SequencerClocking] & ScreenOff) != 0;

    private static ScreenImage Text(VgaState state, RamBlock memory)
    {
        TextScreen.TextGeometry geometry = new(state);
        int dots = (state.Sequencer[VgaIndex.SequencerClocking] & 1) != 0 ? 8 : 9;
        Canvas canvas = new(geometry.Columns * dots, geometry.Rows * geometry.CellHeight, state);
        if (IsBlank(state))
        {
            return canvas.Image;
        }

        (int cursorRow, int cursorColumn) = geometry.Cursor;
        for (int row = 0; row < geometry.Rows; row++)
        {
            for (int column = 0; column < geometry.Columns; column++)
            {
                bool hasCursor = row == cursorRow && column == cursorColumn;
                Cell(canvas, state, memory, geometry.CellAt(row, column), column * dots, row * geometry.CellHeight, geometry.CellHeight, dots, hasCursor);
            }
        }

        return canvas.Image;
    }

    private static void Cell(Canvas canvas, VgaState state, RamBlock memory, ulong cell, int x, int y, int height, int dots, bool hasCursor)
    {
        byte code = memory.Read<byte>(cell * 4);
        byte attribute = memory.Read<byte>((cell * 4) + 1);
        byte mode = state.Attribute[VgaIndex.AttributeMode];

        // With blinking on, the attribute's top bit is no colour.
        int background = attribute >> 4 & ((mode & 8) != 0 ? 7 : 15);
        int foreground = attribute & 15;
        int font = FontStart(state.Sequencer[VgaIndex.SequencerFont], (attribute & 8) != 0);
        bool joins = (mode & 4) != 0 && code is >= 0xC0 and <= 0xDF;
        int first = state.Crtc[VgaIndex.CrtcCursorStart] & 0x1F;
        int last = state.Crtc[VgaIndex.CrtcCursorEnd] & 0x1F;
        for (int line = 0; line < height; line++)
        {
            int bits = memory.Read<byte>((((ulong)(font + (code * 32) + line) & PlaneMask) * 4) + 2) << 1;
            bits |= joins ? bits >> 1 & 1 : 0;
            bits = hasCursor && line >= first && line <= last ? 0x1FF : bits;
            for (int dot = 0; dot < dots; dot++)
            {
                canvas.SetIndexed(x + dot, y + line, (bits >> (8 - dot) & 1) != 0 ? foreground : background);
            }
        }
    }

    // The eight fonts lie at 0, 16, 32 and 48 KiB of plane 2, then at 8, 24, 40 and 56 KiB; bit 3 of the attribute picks one of two.
    private static int FontStart(byte select, bool alternative)
    {
        int low = alternative ? select >> 2 & 3 : select & 3;
        int high = alternative ? select >> 5 & 1 : select >> 4 & 1;
        return (low * 0x4000) + (high * 0x2000);
    }

    private static void Planar(Canvas canvas, VgaState state, RamBlock memory, int start, int stride, int step)
    {
        int planes = state.Attribute[VgaIndex.AttributePlaneEnable] & 15;
        for (int y = 0; y < canvas.Height; y++)
        {
            for (int x = 0; x < canvas.Width; x += step)
            {
                ulong at = (ulong)((start + (y * stride) + (x >> 3)) & 0x3FFFF) * 4;
                uint word = memory.Read<uint>(at) >> (7 - (x & 7));
                int color = (int)((word & 1) | (word >> 7 & 2) | (word >> 14 & 4) | (word >> 21 & 8));
                canvas.SetIndexed(x, y, color & planes);
            }
        }
    }

    // The 256-colour VGA modes wrap at their 256 KiB.
    private static void Bytes(Canvas canvas, RamBlock memory, int start, int stride)
    {
        for (int y = 0; y < canvas.Height; y++)
        {
            for (int x = 0; x < canvas.Width; x++)
            {
                canvas.SetDac(x, y, memory.Read<byte>((ulong)((start + (y * stride) + x) & 0x3FFFF)));
            }
        }
    }

    private static void Linear(Canvas canvas, DispiMode mode, RamBlock memory)
    {
        int pixel = mode.BytesPerPixel;
        for (int y = 0; y < canvas.Height; y++)
        {
            for (int x = 0; x < canvas.Width; x++)
            {
                ulong at = ((ulong)(mode.Y + y) * (ulong)mode.Stride) + ((ulong)(mode.X + x) * (ulong)pixel);
                if (at + 4 > memory.Size)
                {
                    // Offsets can lead past the end; the last pixel of the memory is left out with them.
                    continue;
                }

                ReadOnlySpan<byte> bytes = memory.AsSpan(at, 4);
                int word = bytes[0] | bytes[1] << 8;
                switch (mode.Depth)
                {
                    case 8:
                        canvas.SetDac(x, y, bytes[0]);
                        break;
                    case 15:
                        canvas.Set(x, y, Widen(word >> 10 & 31, 5), Widen(word >> 5 & 31, 5), Widen(word & 31, 5));
                        break;
                    case 16:
                        canvas.Set(x, y, Widen(word >> 11 & 31, 5), Widen(word >> 5 & 63, 6), Widen(word & 31, 5));
                        break;
                    default:
                        canvas.Set(x, y, bytes[2], bytes[1], bytes[0]);
                        break;
                }
            }
        }
    }

    // Repeats the top bits below, so that full intensity stays full.
    private static byte Widen(int value, int bits) => (byte)(value << (8 - bits) | value >> ((2 * bits) - 8));

    /// <summary>The picture, and how colour numbers become colours.</summary>
    private sealed class Canvas
    {
        private readonly byte[] _pixels;
        private readonly VgaState _state;

        public Canvas(int width, int height, VgaState state)
        {
            (Width, Height, _state) = (width, height, state);
            _pixels = new byte[width * height * ScreenImage.PixelSize];
            for (int i = 3; i < _pixels.Length; i += ScreenImage.PixelSize)
            {
                _pixels[i] = 0xFF;
            }
        }

        public int Width { get; }

        public int Height { get; }

        public ScreenImage Image => new(Width, Height, _pixels);

        public void Set(int x, int y, byte red, byte green, byte blue)
        {
            int at = ((y * Width) + x) * ScreenImage.PixelSize;
            (_pixels[at], _pixels[at + 1], _pixels[at + 2]) = (red, green, blue);
        }

        // The attribute controller maps 16 colours to palette entries, of which colour select gives the upper bits.
        public void SetIndexed(int x, int y, int color)
        {
            byte entry = _state.Attribute[color];
            byte select = _state.Attribute[VgaIndex.AttributeColorSelect];
            bool nibble = (_state.Attribute[VgaIndex.AttributeMode] & 0x80) != 0;
            SetDac(x, y, (byte)(nibble ? (select & 15) << 4 | (entry & 15) : (select & 12) << 4 | (entry & 63)));
        }

        public void SetDac(int x, int y, byte index)
        {
            int at = (index & _state.DacMask) * 3;
            ReadOnlySpan<byte> dac = _state.Dac.AsSpan(at, 3);
            Set(x, y, Level(dac[0]), Level(dac[1]), Level(dac[2]));
        }

        private byte Level(byte value) => _state.Is8BitDac ? value : Widen(value & 63, 6);
    }
}
