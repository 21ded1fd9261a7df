using Aperture.Pci;

namespace Aperture.Placement.Request;

/// <summary>How users spell pins and windows.</summary>
public static class PinSyntax
{
    /// <summary>
    /// Reads one item of <c>bars=</c> or <c>fixed-bars=</c>: <c>bar0@0x6b8000000000</c>, <c>bar0=ADDRESS</c>, <c>rom@ADDRESS</c>.
    /// On failure <paramref name="error"/> is one sentence.
    /// </summary>
    public static bool TryParsePin(ReadOnlySpan<char> text, out BarPin pin, out string? error)
    {
        pin = default;
        int mark = text.IndexOfAny('@', '=');
        if (mark < 0)
        {
            error = $"'{text}' is not a pinned BAR: write bar0@ADDRESS or rom@ADDRESS";
            return false;
        }

        if (!BarIndex.TryParse(text[..mark], out int index))
        {
            error = $"'{text}' does not name a BAR: '{text[..mark]}' is none of bar0 to bar5, vf-bar0 to vf-bar5 and rom";
            return false;
        }

        ReadOnlySpan<char> number = text[(mark + 1)..];
        if (!ByteSize.TryParseNumber(number, out ulong address))
        {
            error = $"'{text}' gives {BarIndex.Name(index)} no address: '{number}' is not a number such as 0x6b8000000000";
            return false;
        }

        pin = new BarPin(index, new GuestAddress(address));
        error = null;
        return true;
    }

    /// <summary>Reads a pin policy: <c>lock</c>, <c>follow</c> or <c>stop</c>. On failure <paramref name="error"/> is one sentence.</summary>
    public static bool TryParsePolicy(ReadOnlySpan<char> text, out BarPinPolicy policy, out string? error)
    {
        (policy, error) = text switch
        {
            "lock" => (BarPinPolicy.Lock, null),
            "follow" => (BarPinPolicy.Follow, null),
            "stop" => (BarPinPolicy.Stop, null),
            _ => (BarPinPolicy.Lock, $"policy={text} is not what a pinned BAR can do when the guest moves it: write lock, follow or stop"),
        };
        return error is null;
    }

    /// <summary>Reads a window <c>base:size</c>, such as <c>0x6b8000000000:1T</c>. On failure <paramref name="error"/> is one sentence.</summary>
    public static bool TryParseWindow(ReadOnlySpan<char> text, out AddressRange window, out string? error)
    {
        window = default;
        int colon = text.IndexOf(':');
        if (colon < 0
            || !ByteSize.TryParse(text[..colon], out ulong start)
            || !ByteSize.TryParse(text[(colon + 1)..], out ulong size))
        {
            error = $"'{text}' is not a window: write base:size, such as 0x6b8000000000:1T";
            return false;
        }

        GuestAddress first = new(start);
        if (size == 0 || !AddressRange.Fits(first, size))
        {
            error = size == 0
                ? $"the window '{text}' is empty: its size must not be 0."
                : $"the window '{text}' passes the end of the 64-bit address space";
            return false;
        }

        window = new AddressRange(first, size);
        error = null;
        return true;
    }
}

/// <summary>A BAR and the address the user wants for it.</summary>
/// <param name="Index">As <see cref="BarIndex"/> numbers them.</param>
/// <param name="Address">The address.</param>
public readonly record struct BarPin(int Index, GuestAddress Address)
{
    /// <summary>What happens when the guest gives the BAR another address.</summary>
    public BarPinPolicy Policy { get; init; }
}
