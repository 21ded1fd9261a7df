using System.Text.Json;
using Aperture.Pci;

namespace Aperture.Board;

/// <summary>How events name a BAR.</summary>
internal static class BarJson
{
    /// <summary>Writes the function's name, its routing id by the bus numbers programmed now, and the BAR's name.</summary>
    public static void WriteBar(this Utf8JsonWriter json, Bar bar)
    {
        json.WriteString("function", bar.Function.Name);
        json.WriteString("bdf", bar.Function.Bdf.ToString());
        json.WriteString("bar", bar.Name);
    }
}
