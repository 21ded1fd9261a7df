using System.Globalization;
using Aperture.Placement.Request;

namespace Aperture.Configuration.Options;

/// <summary>
/// What a port keeps free for devices that come later: <c>memory=16M,prefetchable=64G,io=4K,buses=2</c>; a window may be given whole as <c>BASE:SIZE</c>.
/// </summary>
internal static class PortRoomOptions
{
    private const int MostBuses = 32;

    /// <summary>The entries. Several ports at once cannot have one window (<paramref name="mayPlace"/> false).</summary>
    /// <param name="of">The room so far.</param>
    /// <param name="with">The thing with other room.</param>
    /// <param name="mayPlace">A window may be given whole.</param>
    public static IReadOnlyList<OptionEntry<T>> Entries<T>(Func<T, PortRoom?> of, Func<T, PortRoom, T> with, bool mayPlace)
    {
        T Change(T spec, Func<PortRoom, PortRoom> change) => with(spec, change(of(spec) ?? new PortRoom(new HotplugReserve(), null, null)));
        string form = mayPlace ? "SIZE|BASE:SIZE" : "SIZE";
        return
        [
            new("memory", form, OptionShape.Room, "memory kept for devices that come later, or the whole window",
                (s, v) => Change(s, room => Window(v, mayPlace) is { } window
                ? room with { Memory = window }
                : room with { Reserve = room.Reserve with { Memory = Size(v) } })),
            new("prefetchable", form, OptionShape.Room, "prefetchable memory kept, or the whole window",
                (s, v) => Change(s, room => Window(v, mayPlace) is { } window
                ? room with { Prefetchable = window }
                : room with { Reserve = room.Reserve with { Prefetchable = Size(v) } })),
            new("io", "SIZE", OptionShape.Size, "I/O ports kept", (s, v) => Change(s, room => room with { Reserve = room.Reserve with { Io = Size(v) } })),
            new("buses", "N", OptionShape.Count, $"bus numbers kept, 1 to {MostBuses}",
                (s, v) => Change(s, room => room with { Reserve = room.Reserve with { Buses = Buses(v) } })),
        ];
    }

    private static AddressRange? Window(OptionValue value, bool mayPlace)
    {
        if (!value.Text.Contains(':', StringComparison.Ordinal))
        {
            return null;
        }

        if (!mayPlace)
        {
            throw value.Fault($" would give every downstream port the same window; write a size, such as {value.Key}=64M");
        }

        return PinSyntax.TryParseWindow(value.Text, out AddressRange window, out _)
            ? window
            : throw value.Fault($" is not a window; write SIZE or BASE:SIZE, such as {value.Key}=0xe0000000:16M");
    }

    private static ulong Size(OptionValue value) => ByteSize.TryParse(value.Text, out ulong size) && size > 0
        ? size
        : throw value.Fault($" is not room for devices that come later; write a size, such as {value.Key}=16M");

    private static int Buses(OptionValue value) =>
        int.TryParse(value.Text, NumberStyles.None, CultureInfo.InvariantCulture, out int buses) && buses is > 0 and <= MostBuses
            ? buses
            : throw value.Fault($" is not a number of buses from 1 to {MostBuses}");
}
