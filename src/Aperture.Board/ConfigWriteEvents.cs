using Aperture.Pci;

namespace Aperture.Board;

/// <summary>Reports the configuration writes that matter: those that changed what decodes, a BAR, bus numbers, or reset something.</summary>
internal sealed class ConfigWriteEvents(IEventSink events)
{
    private const ConfigChange Worth = ConfigChange.DecodeMap | ConfigChange.BusNumbers | ConfigChange.SecondaryReset | ConfigChange.FunctionReset
        | ConfigChange.BarProgrammed | ConfigChange.PinnedBarWrite | ConfigChange.PowerState | ConfigChange.DeviceSpecific;

    /// <summary>Writes what <paramref name="change"/> is worth.</summary>
    public void Report(PciFunction function, ConfigChange change, int offset, int size, uint value)
    {
        if ((change & Worth) != 0 && events.Enabled)
        {
            Write(function, change, offset, size, value);
        }
    }

    // On its own, so that a write that is not worth a line does not pay for the closure.
    private void Write(PciFunction function, ConfigChange change, int offset, int size, uint value)
    {
        events.Write("config.write", json =>
        {
            json.WriteString("function", function.Name);
            json.WriteString("bdf", function.Bdf.ToString());
            json.WriteString("register", $"0x{offset:x2}");
            json.WriteNumber("width", size);
            json.WriteString("value", $"0x{value:x}");
            json.WriteString("changed", change.ToString());
        });
        if ((change & (ConfigChange.BarProgrammed | ConfigChange.PinnedBarWrite)) != 0 && BarAt(function, offset) is { } bar)
        {
            ReportBar(function, bar, change);
        }
    }

    // A pinned BAR that follows the guest is not refused its move.
    private void ReportBar(PciFunction function, Bar bar, ConfigChange change)
    {
        bool refused = (change & ConfigChange.PinnedBarWrite) != 0 && bar.PinPolicy != BarPinPolicy.Follow;
        events.Write(refused ? "bar.move_refused" : "bar.programmed", json =>
        {
            json.WriteString("function", function.Name);
            json.WriteString("bdf", function.Bdf.ToString());
            json.WriteString("bar", bar.Name);
            json.WriteAddress("address", bar.Programmed);
            if (refused)
            {
                json.WriteAddress("asked", bar.LastMoveAttempt);
                json.WriteString("policy", bar.PinPolicy.ToString());
            }
        });
    }

    private static Bar? BarAt(PciFunction function, int offset)
    {
        foreach (Bar bar in function.Bars)
        {
            int length = bar.Kind.Is64Bit() ? 8 : 4;
            if (offset >= bar.Register && offset < bar.Register + length)
            {
                return bar;
            }
        }

        return null;
    }
}
