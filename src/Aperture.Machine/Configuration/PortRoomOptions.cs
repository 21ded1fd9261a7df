using System.Globalization;
using Aperture.Placement.Request;

namespace Aperture.Machine.Configuration;

/// <summary>Reads what a port keeps free for devices that come later: <c>memory=16M,prefetchable=64G,io=4K,buses=2</c>; a window may be given whole as <c>BASE:SIZE</c>.</summary>
internal static class PortRoomOptions
{
    private const int MostBuses = 32;

    /// <summary>What <paramref name="list"/> says, or null when it says nothing of it. Several ports at once cannot have one window (<paramref name="mayPlace"/> false).</summary>
    /// <exception cref="ApertureException">A value is malformed.</exception>
    public static PortRoom? Read(OptionList list, bool mayPlace)
    {
        AddressRange? memory = Window(list, "memory", mayPlace);
        AddressRange? prefetchable = Window(list, "prefetchable", mayPlace);
        HotplugReserve reserve = new()
        {
            Memory = memory is null ? Size(list, "memory") : 0,
            Prefetchable = prefetchable is null ? Size(list, "prefetchable") : 0,
            Io = Size(list, "io"),
            Buses = Buses(list),
        };
        return reserve == new HotplugReserve() && memory is null && prefetchable is null ? null : new PortRoom(reserve, memory, prefetchable);
    }

    private static AddressRange? Window(OptionList list, string key, bool mayPlace)
    {
        if (list.Find(key) is not { } text || !text.Contains(':', StringComparison.Ordinal))
        {
            return null;
        }

        if (!mayPlace)
        {
            throw new ApertureException($"{list.Option} {key}={text} would give every downstream port the same window; write a size, such as {key}=64M.");
        }

        return PinSyntax.TryParseWindow(text, out AddressRange window, out _)
            ? window
            : throw new ApertureException($"{list.Option} {key}={text} is not a window; write SIZE or BASE:SIZE, such as {key}=0xe0000000:16M.");
    }

    private static ulong Size(OptionList list, string key) => list.Find(key) is not { } text ? 0
        : ByteSize.TryParse(text, out ulong size) && size > 0 ? size
        : throw new ApertureException($"{list.Option} {key}={text} is not room for devices that come later; write a size, such as {key}=16M.");

    private static int Buses(OptionList list) => list.Find("buses") is not { } text ? 0
        : int.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out int buses) && buses is > 0 and <= MostBuses ? buses
        : throw new ApertureException($"{list.Option} buses={text} is not a number of buses from 1 to {MostBuses}.");
}
