using System.Diagnostics.CodeAnalysis;
using Aperture.Pci.Ports;
using Aperture.Pci.Registers;

namespace Aperture.Pci;

/// <summary>
/// A root complex: the root bus and everything below it. Routes configuration accesses by the bus numbers that are programmed now and serialises
/// them, since several vCPUs access at once.
/// </summary>
public sealed class PciHierarchy
{
    private readonly PciBus?[] _routes = new PciBus?[256];

    // Written under Sync, read without it by ConfigRead.
    private volatile bool _routesStale = true;

    // Odd while registers or routes are being changed. Written under Sync; a reader without Sync believes what it read only if this was even before and
    // is the same after (the increments are full barriers).
    private int _changes;
    private int _nesting;

    /// <summary>Makes an empty hierarchy whose root bus has number 0.</summary>
    public PciHierarchy(IConfigWriteSink? writeSink = null, IMsiSink? msiSink = null)
    {
        WriteSink = writeSink;
        MsiSink = msiSink;
        Root = new PciBus(this);
    }

    /// <summary>Held during every configuration write and while <see cref="IConfigWriteSink"/> is called. Take it to look at a consistent topology.</summary>
    public Lock Sync { get; } = new();

    /// <summary>Bus 0.</summary>
    public PciBus Root { get; }

    /// <summary>Who is told of configuration writes.</summary>
    public IConfigWriteSink? WriteSink { get; set; }

    /// <summary>Where functions without a sink of their own send MSI and MSI-X messages.</summary>
    public IMsiSink? MsiSink { get; set; }

    /// <summary>
    /// Every function, depth first, in order of device and function number; whether or not it can be reached now. Hold <see cref="Sync"/> where functions come
    /// and go.
    /// </summary>
    public IEnumerable<PciFunction> Functions => FunctionsBelow(Root);

    /// <summary>Every function on <paramref name="bus"/> and below it, depth first.</summary>
    public static IEnumerable<PciFunction> FunctionsBelow(PciBus bus)
    {
        foreach (PciFunction function in bus.Functions)
        {
            yield return function;
            if (function is PciBridge bridge)
            {
                foreach (PciFunction below in FunctionsBelow(bridge.Secondary))
                {
                    yield return below;
                }
            }
        }
    }

    /// <summary>The function that answers to <paramref name="bdf"/> by the bus numbers programmed now.</summary>
    public bool TryFind(Bdf bdf, [NotNullWhen(true)] out PciFunction? function)
    {
        lock (Sync)
        {
            function = Route(bdf);
            return function is not null;
        }
    }

    /// <summary>
    /// A guest's read of 1, 2 or 4 bytes. All-ones at the access width when no function answers or the register does not exist. Takes no lock unless a
    /// write is under way: then it waits for it, and sees all of it. A register whose read has an effect (<see cref="ConfigSpace.DefineReadEffect"/>) is read
    /// with the lock, so that no answer is thrown away.
    /// </summary>
    public uint ConfigRead(Bdf bdf, int offset, int size)
    {
        int before = Volatile.Read(ref _changes);
        if ((before & 1) == 0 && !_routesStale)
        {
            PciFunction? function = Routed(bdf);
            if (function is null || !function.Config.HasReadEffect(offset, size))
            {
                uint value = Read(function, offset, size);
                Volatile.ReadBarrier();
                if (Volatile.Read(ref _changes) == before)
                {
                    return value;
                }
            }
        }

        lock (Sync)
        {
            return Read(Route(bdf), offset, size);
        }
    }

    /// <summary>A guest's write of 1, 2 or 4 bytes; dropped when no function answers. The sink is told before this returns.</summary>
    public void ConfigWrite(Bdf bdf, int offset, int size, uint value)
    {
        lock (Sync)
        {
            if (Route(bdf) is { } function)
            {
                BeginChange();
                try
                {
                    ConfigChange change = function.WriteConfig(offset, size, value);
                    WriteSink?.Written(function, change, offset, size, value);
                    Applied(function, change);
                }
                finally
                {
                    EndChange();
                }
            }
        }
    }

    /// <summary>
    /// What decodes where, by the registers as they are now. <paramref name="previous"/> decides between BARs that overlap: the one that was already
    /// there stays.
    /// </summary>
    public DecodeMap ComputeDecode(DecodeLimits limits, DecodeMap previous)
    {
        lock (Sync)
        {
            return DecodeCalculator.Compute(this, limits, previous);
        }
    }

    /// <summary>
    /// The same after only the registers of <paramref name="function"/> changed since <paramref name="previous"/> was computed, for the price of a search for
    /// each of its BARs. Null when that may mean something for other BARs (it is a bridge, BARs are in conflict, functions came or went, the limits are
    /// others): then the whole map is to be computed.
    /// </summary>
    public DecodeMap? UpdateDecode(DecodeLimits limits, DecodeMap previous, PciFunction function)
    {
        lock (Sync)
        {
            return DecodeUpdate.Compute(this, limits, previous, function);
        }
    }

    /// <summary>
    /// Tells every function that the machine applied what <see cref="Reset"/> changed. Call it after each <see cref="Reset"/>, once no BAR is
    /// mapped by its old registers any more: functions with hardware behind them reset it then.
    /// </summary>
    public void ResetApplied()
    {
        lock (Sync)
        {
            BeginChange();
            try
            {
                foreach (PciFunction function in FunctionsBelow(Root))
                {
                    function.OnChangeApplied(AfterReset);
                }
            }
            finally
            {
                EndChange();
            }
        }
    }

    /// <summary>Resets every function. <see cref="ResetApplied"/> must follow when the machine has applied it.</summary>
    public void Reset(ResetKind kind)
    {
        lock (Sync)
        {
            BeginChange();
            try
            {
                foreach (PciFunction function in Root.Functions)
                {
                    function.Reset(kind);
                }

                InvalidateRoutes();
            }
            finally
            {
                EndChange();
            }
        }
    }

    /// <summary>Another object after functions came or went. With <see cref="Sync"/>.</summary>
    internal object Topology { get; private set; } = new();

    internal void InvalidateRoutes() => _routesStale = true;

    /// <summary>With <see cref="Sync"/>: functions came or went.</summary>
    internal void TopologyChanged()
    {
        Topology = new object();
        InvalidateRoutes();
    }

    /// <summary>With <see cref="Sync"/>: readers wait from here to <see cref="EndChange"/>. May nest.</summary>
    internal void BeginChange()
    {
        if (_nesting++ == 0)
        {
            Interlocked.Increment(ref _changes);
        }
    }

    /// <summary>With <see cref="Sync"/>: ends what <see cref="BeginChange"/> began.</summary>
    internal void EndChange()
    {
        if (--_nesting == 0)
        {
            Interlocked.Increment(ref _changes);
        }
    }

    private const ConfigChange AfterReset = ConfigChange.FunctionReset | ConfigChange.DecodeMap | ConfigChange.Interrupts | ConfigChange.BusMaster;

    private static void Applied(PciFunction function, ConfigChange change)
    {
        function.OnChangeApplied(change);
        if (function is PciBridge bridge && (change & (ConfigChange.SecondaryReset | ConfigChange.FunctionReset)) != 0)
        {
            foreach (PciFunction below in FunctionsBelow(bridge.Secondary))
            {
                below.OnChangeApplied(AfterReset);
            }
        }
    }

    private static uint Read(PciFunction? function, int offset, int size) =>
        function is null ? (uint)AccessWidth.AllOnes(size) : function.ReadConfig(offset, size);

    private PciFunction? Route(Bdf bdf)
    {
        if (_routesStale)
        {
            RebuildRoutes();
        }

        return Routed(bdf);
    }

    private PciFunction? Routed(Bdf bdf) => _routes[bdf.Bus] is { } bus ? bus.FindAt((byte)(bdf.Bus - bus.Number) << 8 | bdf.DeviceFunction) : null;

    private void RebuildRoutes()
    {
        for (int number = 0; number < _routes.Length; number++)
        {
            _routes[number] = RouteTo(number);
        }

        _routesStale = false;
    }

    // As a type 1 configuration request travels (PCI-to-PCI Bridge 1.2, section 3.1.2.1): a bridge takes it when the number is in its range.
    private PciBus? RouteTo(int number)
    {
        PciBus? bus = Root;
        while (bus is not null && (bus != Root || number != 0))
        {
            PciBridge? taker = null;
            foreach (PciBridge bridge in bus.Bridges)
            {
                if (bridge.ForwardsConfiguration(number))
                {
                    taker = bridge;
                    break;
                }
            }

            if (taker is null)
            {
                return bus.ReachesInto(number) ? bus : null;
            }

            bus = taker.Secondary;
            if (taker.SecondaryBus == number)
            {
                return bus;
            }
        }

        return bus;
    }
}
