namespace Aperture.Pci;

/// <summary>Whether ranges together hold another range: adjacent windows jointly forward what straddles them.</summary>
internal static class Coverage
{
    public static bool Covers(AddressRange? first, AddressRange? second, AddressRange range)
    {
        Span<AddressRange> windows = [first ?? default, second ?? default];
        return Covers(windows, range);
    }

    public static bool Covers(ReadOnlySpan<AddressRange> windows, AddressRange range)
    {
        GuestAddress next = range.Start;
        while (true)
        {
            GuestAddress? reached = null;
            foreach (AddressRange window in windows)
            {
                if (window.Contains(next) && (reached is null || window.Last > reached))
                {
                    reached = window.Last;
                }
            }

            if (reached is not { } last)
            {
                return false;
            }

            if (last >= range.Last)
            {
                return true;
            }

            next = last + 1;
        }
    }
}
