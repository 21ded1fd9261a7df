using System.Diagnostics;
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
    /// True while pins are in force, as they are from the start. While they are not, a pinned BAR is programmed like any other: firmware keeps its own books
    /// of addresses, so pins wait until the operating system takes over. Changed with <see cref="Sync"/>, by <see cref="HoldPins"/>.
    /// </summary>
    public bool HoldsPins { get; private set; } = true;

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

    /// <summary>
    /// A guest's write of 1, 2 or 4 bytes; dropped when no function answers. The sink is told before this returns, and functions that the write left not ready
    /// are settled (<see cref="PciFunction.Settle"/>), during which other functions can be accessed. Not with <see cref="Sync"/> held.
    /// </summary>
    public void ConfigWrite(Bdf bdf, int offset, int size, uint value)
    {
        PciFunction[] unready;
        lock (Sync)
        {
            if (Route(bdf) is not { IsReady: true } function)
            {
                return;
            }

            BeginChange();
            try
            {
                ConfigChange change = function.WriteConfig(offset, size, value);
                WriteSink?.Written(function, change, offset, size, value);
                unready = Applied(function, change);
            }
            finally
            {
                EndChange();
            }
        }

        Settle(unready);
    }

    /// <summary>
    /// Carries out a change of <paramref name="function"/> that no write makes, such as hardware that is ready again: with <see cref="Sync"/> held, and the
    /// sink told before this returns (<see cref="IConfigWriteSink.Changed"/>) if <paramref name="change"/> says that there was one.
    /// </summary>
    public void Change(PciFunction function, Func<bool> change)
    {
        ArgumentNullException.ThrowIfNull(function);
        ArgumentNullException.ThrowIfNull(change);
        InOneStep(() =>
        {
            if (change())
            {
                WriteSink?.Changed(function);
                function.OnChangeApplied(ConfigChange.DecodeMap);
            }
        });
    }

    /// <summary>
    /// Carries out several changes of who sits where, or of registers as firmware programs them, as one: with <see cref="Sync"/> held, and no read sees only
    /// some of them. Nobody is told; the caller applies them.
    /// </summary>
    public void InOneStep(Action changes)
    {
        ArgumentNullException.ThrowIfNull(changes);
        lock (Sync)
        {
            BeginChange();
            try
            {
                changes();
            }
            finally
            {
                EndChange();
            }
        }
    }

    /// <summary>
    /// Puts pins into force, which shows each in its register, or out of it, which unassigns the BARs that showed them. Within <see cref="InOneStep"/> while
    /// the guest runs; decoding is the machine's to apply.
    /// </summary>
    public void HoldPins(bool held)
    {
        lock (Sync)
        {
            if (held == HoldsPins)
            {
                return;
            }

            HoldsPins = held;
            foreach (PciFunction function in Functions)
            {
                function.PinForceChanged();
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
    /// mapped by its old registers any more: functions with hardware behind them reset it then. Not with <see cref="Sync"/> held.
    /// </summary>
    public void ResetApplied()
    {
        PciFunction[] unready;
        lock (Sync)
        {
            BeginChange();
            try
            {
                unready = AppliedBelow(Root);
            }
            finally
            {
                EndChange();
            }
        }

        Settle(unready);
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

    // What is not ready after that, and has to be settled.
    private static PciFunction[] Applied(PciFunction function, ConfigChange change)
    {
        function.OnChangeApplied(change);
        return function is PciBridge bridge && (change & (ConfigChange.SecondaryReset | ConfigChange.FunctionReset)) != 0 ? AppliedBelow(bridge.Secondary)
            : function.IsReady ? []
            : [function];
    }

    private static PciFunction[] AppliedBelow(PciBus bus)
    {
        List<PciFunction> unready = [];
        foreach (PciFunction function in FunctionsBelow(bus))
        {
            function.OnChangeApplied(AfterReset);
            if (!function.IsReady)
            {
                unready.Add(function);
            }
        }

        return [.. unready];
    }

    private void Settle(PciFunction[] unready)
    {
        Debug.Assert(unready.Length == 0 || !Sync.IsHeldByCurrentThread, "a function is settled without the hierarchy's lock");
        foreach (PciFunction function in unready)
        {
            function.Settle(this);
        }
    }

    private static uint Read(PciFunction? function, int offset, int size) =>
        function is { IsReady: true } ? function.ReadConfig(offset, size) : (uint)AccessWidth.AllOnes(size);

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
