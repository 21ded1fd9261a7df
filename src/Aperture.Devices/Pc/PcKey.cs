namespace Aperture.Devices.Pc;

/// <summary>The keys of a PC keyboard by their scan codes of set 1; 0xE0 in the upper byte marks the codes with that prefix.</summary>
public enum PcKey : ushort
{
    /// <summary>No key.</summary>
    None = 0,

    /// <summary>Escape.</summary>
    Escape = 0x01,

    /// <summary>The row from 1 to 0 starts here, in the order of the keyboard.</summary>
    Digit1 = 0x02,

    /// <summary>Minus and underscore.</summary>
    Minus = 0x0C,

    /// <summary>Backspace.</summary>
    Backspace = 0x0E,

    /// <summary>Tab.</summary>
    Tab = 0x0F,

    /// <summary>Enter.</summary>
    Enter = 0x1C,

    /// <summary>Left control.</summary>
    Control = 0x1D,

    /// <summary>Left shift.</summary>
    Shift = 0x2A,

    /// <summary>Left alt.</summary>
    Alt = 0x38,

    /// <summary>Space.</summary>
    Space = 0x39,

    /// <summary>F1; F2 to F10 follow.</summary>
    F1 = 0x3B,

    /// <summary>F2.</summary>
    F2 = 0x3C,

    /// <summary>F10.</summary>
    F10 = 0x44,

    /// <summary>F11.</summary>
    F11 = 0x57,

    /// <summary>F12.</summary>
    F12 = 0x58,

    /// <summary>Home.</summary>
    Home = 0xE047,

    /// <summary>Cursor up.</summary>
    Up = 0xE048,

    /// <summary>Page up.</summary>
    PageUp = 0xE049,

    /// <summary>Cursor left.</summary>
    Left = 0xE04B,

    /// <summary>Cursor right.</summary>
    Right = 0xE04D,

    /// <summary>End.</summary>
    End = 0xE04F,

    /// <summary>Cursor down.</summary>
    Down = 0xE050,

    /// <summary>Page down.</summary>
    PageDown = 0xE051,

    /// <summary>Insert.</summary>
    Insert = 0xE052,

    /// <summary>Delete.</summary>
    Delete = 0xE053,
}

/// <summary>Scan codes.</summary>
internal static class ScanCodes
{
    /// <summary>The prefix of the keys that the first PC did not have.</summary>
    public const byte Extended = 0xE0;

    /// <summary>In set 2, what precedes the code of a key that was let go.</summary>
    public const byte Release = 0xF0;

    // Set 2's code for each code of set 1, from 0; 0 where there is no key. (IBM PS/2 keyboard technical reference.)
    private static readonly byte[] Second =
    [
        0x00, 0x76, 0x16, 0x1E, 0x26, 0x25, 0x2E, 0x36, 0x3D, 0x3E, 0x46, 0x45, 0x4E, 0x55, 0x66, 0x0D,
        0x15, 0x1D, 0x24, 0x2D, 0x2C, 0x35, 0x3C, 0x43, 0x44, 0x4D, 0x54, 0x5B, 0x5A, 0x14, 0x1C, 0x1B,
        0x23, 0x2B, 0x34, 0x33, 0x3B, 0x42, 0x4B, 0x4C, 0x52, 0x0E, 0x12, 0x5D, 0x1A, 0x22, 0x21, 0x2A,
        0x32, 0x31, 0x3A, 0x41, 0x49, 0x4A, 0x59, 0x7C, 0x11, 0x29, 0x58, 0x05, 0x06, 0x04, 0x0C, 0x03,
        0x0B, 0x83, 0x0A, 0x01, 0x09, 0x77, 0x7E, 0x6C, 0x75, 0x7D, 0x7B, 0x6B, 0x73, 0x74, 0x79, 0x69,
        0x72, 0x7A, 0x70, 0x71, 0x84, 0x00, 0x61, 0x78, 0x07,
    ];

    private static readonly byte[] First = Invert();

    // US layout: the keys from code 2, 0x10, 0x1E and 0x2B on, without and with shift.
    private static readonly (int Start, string Plain, string Shifted)[] Layout =
    [
        (0x02, "1234567890-=\b\t", "!@#$%^&*()_+"),
        (0x10, "qwertyuiop[]\n", "QWERTYUIOP{}"),
        (0x1E, "asdfghjkl;'`", "ASDFGHJKL:\"~"),
        (0x2B, "\\zxcvbnm,./", "|ZXCVBNM<>?"),
        (0x39, " ", ""),
        (0x01, "\u001B", ""),
    ];

    /// <summary>The code of set 2 for a code of set 1 without prefix; 0 when there is no such key.</summary>
    public static byte ToSecond(byte first) => first < Second.Length ? Second[first] : (byte)0;

    /// <summary>What the controller's translation makes of a byte from the keyboard. Bytes that are no codes pass.</summary>
    public static byte ToFirst(byte second) => First[second];

    /// <summary>The key for a character on a US keyboard; <see cref="PcKey.None"/> when it has none.</summary>
    public static (PcKey Key, bool Shift) For(char character)
    {
        character = character == '\r' ? '\n' : character;
        foreach ((int start, string plain, string shifted) in Layout)
        {
            int at = plain.IndexOf(character);
            int upper = shifted.IndexOf(character);
            if (at >= 0 || upper >= 0)
            {
                return ((PcKey)(start + Math.Max(at, upper)), at < 0);
            }
        }

        return (PcKey.None, false);
    }

    private static byte[] Invert()
    {
        byte[] table = new byte[256];
        for (int i = 0; i < table.Length; i++)
        {
            table[i] = (byte)i;
        }

        for (int first = 1; first < Second.Length; first++)
        {
            if (Second[first] != 0)
            {
                table[Second[first]] = (byte)first;
            }
        }

        return table;
    }
}
