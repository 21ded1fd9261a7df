using Aperture.Pci;
using Aperture.Pci.Registers;

namespace Aperture.Board;

/// <summary>Reports the configuration writes that matter: those that changed what decodes, a BAR, bus numbers, or reset something.</summary>
internal sealed class ConfigWriteEvents(IEventSink events)
{
    private const ConfigChange Worth = ConfigChange.DecodeMap | ConfigChange.BusNumbers | ConfigChange.SecondaryReset | ConfigChange.FunctionReset
        | ConfigChange.BarProgrammed | ConfigChange.PinnedBarWrite | ConfigChange.PowerState | ConfigChange.DeviceSpecific;

    private readonly RefusedMoves _moves = new();

    /// <summary>Writes what <paramref name="change"/> is worth.</summary>
    public void Report(PciFunction function, ConfigChange change, int offset, int size, uint value)
    {
        if (!events.Enabled)
        {
            return;
        }

        if ((change & Worth) != 0)
        {
            Write(function, change, offset, size, value);
        }

        if (BarAt(function, offset) is { } bar)
        {
            ReportBar(function, bar, change, offset, size);
        }
        else if (offset == PciRegisters.Command && (change & ConfigChange.DecodeMap) != 0 && (function.Command & PciCommand.MemorySpace) != 0)
        {
            ReportEnabled(function);
        }

        if ((change & (ConfigChange.FunctionReset | ConfigChange.SecondaryReset)) != 0)
        {
            Reset();
        }
    }

    /// <summary>After a reset: every pinned BAR is at its pin.</summary>
    public void Reset() => _moves.Clear();

    // On its own, so that a write that is not worth a line does not pay for the closure.
    private void Write(PciFunction function, ConfigChange change, int offset, int size, uint value) => events.Write("config.write", json =>
    {
        json.WriteString("function", function.Name);
        json.WriteString("bdf", function.Bdf.ToString());
        json.WriteString("register", $"0x{offset:x2}");
        json.WriteNumber("width", size);
        json.WriteString("value", $"0x{value:x}");
        json.WriteString("changed", change.ToString());
    });

    private void ReportBar(PciFunction function, Bar bar, ConfigChange change, int offset, int size)
    {
        if (Refuses(bar) && _moves.Written(bar, offset, size))
        {
            WriteBar("bar.move_refused", bar);
        }
        else if ((change & (ConfigChange.BarProgrammed | ConfigChange.PinnedBarWrite)) != 0 && !(Refuses(bar) && (change & ConfigChange.PinnedBarWrite) != 0))
        {
            WriteBar("bar.programmed", bar);
        }
    }

    private void ReportEnabled(PciFunction function)
    {
        foreach (Bar bar in function.Bars)
        {
            if (Refuses(bar) && _moves.Enabled(bar))
            {
                WriteBar("bar.move_refused", bar);
            }
        }
    }

    // A pinned BAR that follows the guest is not refused its move.
    private static bool Refuses(Bar bar) => bar.HeldPin is not null;

    private void WriteBar(string kind, Bar bar) => events.Write(kind, json =>
    {
        json.WriteBar(bar);
        json.WriteAddress("address", bar.Programmed);
        if (kind == "bar.move_refused")
        {
            json.WriteAddress("asked", bar.Requested);
            json.WriteString("policy", bar.PinPolicy.ToString());
        }
    });

    private static Bar? BarAt(PciFunction function, int offset)
    {
        if (offset is < PciRegisters.Bar0 or >= PciRegisters.InterruptLine)
        {
            return null;
        }

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
