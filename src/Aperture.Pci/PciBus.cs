using Aperture.Pci.Capabilities;
using Aperture.Pci.Ports;
using Aperture.Pci.Registers;

namespace Aperture.Pci;

/// <summary>
/// A bus: up to 256 functions by device and function number. Below a PCI Express downstream or root port the link has one device, number 0, with
/// 8 functions, or 256 while the port forwards ARI (PCI Express 5.0, section 6.13).
/// </summary>
public sealed class PciBus
{
    // Header type's bit 7, in the word that starts with the cache line size.
    private const uint MultiFunctionBit = 0x80u << 16;

    private readonly PciFunction?[] _slots = new PciFunction?[256];
    private readonly PciHierarchy? _owner;
    private List<PciFunction> _functions = [];

    // The functions' SR-IOV capabilities: their VFs answer on this bus, and on the numbers that follow it.
    private SriovCapability[] _sriov = [];
    private int _answering = 256;

    internal PciBus(PciHierarchy owner) => _owner = owner;

    internal PciBus(PciBridge parent, bool isLink)
    {
        Parent = parent;
        IsLink = isLink;
        _answering = isLink ? 8 : 256;
    }

    /// <summary>The bridge above; null for a root bus.</summary>
    public PciBridge? Parent { get; }

    /// <summary>True below a root or downstream port: only device 0 answers.</summary>
    public bool IsLink { get; }

    /// <summary>The hierarchy, once the bus is part of one.</summary>
    public PciHierarchy? Hierarchy => _owner ?? Parent?.Bus?.Hierarchy;

    /// <summary>The bus number that is programmed now: 0 for the root bus, else the parent's secondary bus register.</summary>
    public byte Number => Parent?.SecondaryBus ?? 0;

    internal IReadOnlyList<PciBridge> Bridges { get; private set; } = [];

    /// <summary>The functions in order of device and function number.</summary>
    public IReadOnlyList<PciFunction> Functions => _functions;

    /// <summary>Puts a function on the bus. Sets the multi-function bits and the ARI chain that follow from it.</summary>
    /// <exception cref="ApertureException">The place is taken, or lies past device 0 below a port and the function has no ARI capability.</exception>
    public void Add(byte deviceFunction, PciFunction function)
    {
        string place = $"{deviceFunction >> 3:x2}.{deviceFunction & 7}";
        if (_slots[deviceFunction] is { } other)
        {
            throw new ApertureException($"{function.Name} cannot be at {place}: {other.Name} is already there");
        }

        if (function.Bus is not null)
        {
            throw new ApertureException($"{function.Name} is already at {function.Bdf}");
        }

        if (IsLink && deviceFunction >= 8 && function.Find<AriCapability>() is null)
        {
            throw new ApertureException($"{function.Name} cannot be at {place}: only device 00 answers below {Parent!.Name}");
        }

        Change(() =>
        {
            _slots[deviceFunction] = function;
            function.Bus = this;
            function.DeviceFunction = deviceFunction;
            if (Hierarchy is { HoldsPins: false })
            {
                function.PinForceChanged();
            }

            function.OnPlaced();
        });
    }

    /// <summary>Takes a function off the bus; nothing when it is on another.</summary>
    public void Remove(PciFunction function)
    {
        if (function.Bus != this)
        {
            return;
        }

        Change(() =>
        {
            _slots[function.DeviceFunction] = null;
            function.Bus = null;
            function.Config.SetDefault(PciRegisters.CacheLineSize, 0, MultiFunctionBit);
            function.Find<AriCapability>()?.SetNext(0);
        });
    }

    /// <summary>The function that answers at <paramref name="deviceFunction"/>, a VF included, or null.</summary>
    public PciFunction? Find(byte deviceFunction) => FindAt(deviceFunction);

    /// <summary>
    /// The function that answers to a routing id, which is <paramref name="place"/> above that of this bus's device 0, function 0; or null. From 256 on those
    /// are VFs that reach into the bus numbers behind this one (PCI Express 5.0, section 9.2.1.2).
    /// </summary>
    internal PciFunction? FindAt(int place)
    {
        if (place < _answering && _slots[place] is { } function)
        {
            return function;
        }

        return _sriov.Length == 0 || (place >= _answering && place < _slots.Length) ? null : FindVirtual(place);
    }

    /// <summary>True when a VF of this bus may be on bus <paramref name="number"/>.</summary>
    internal bool ReachesInto(int number)
    {
        foreach (SriovCapability sriov in _sriov)
        {
            if (sriov.LastPlace >> 8 >= number - Number)
            {
                return true;
            }
        }

        return false;
    }

    internal void SetAriForwarding(bool enabled) => _answering = !IsLink || enabled ? 256 : 8;

    private VirtualFunction? FindVirtual(int place)
    {
        foreach (SriovCapability sriov in _sriov)
        {
            if (sriov.FindAt(place) is { } function)
            {
                return function;
            }
        }

        return null;
    }

    private void Change(Action change)
    {
        PciHierarchy? hierarchy = Hierarchy;
        if (hierarchy is null)
        {
            Apply(change);
            return;
        }

        lock (hierarchy.Sync)
        {
            hierarchy.BeginChange();
            try
            {
                Apply(change);
                hierarchy.TopologyChanged();
            }
            finally
            {
                hierarchy.EndChange();
            }
        }
    }

    private void Apply(Action change)
    {
        change();
        _functions = [.. _slots.OfType<PciFunction>()];
        Bridges = [.. _functions.OfType<PciBridge>()];
        _sriov = [.. _functions.Select(f => f.Find<SriovCapability>()).OfType<SriovCapability>()];
        for (int i = 0; i < _functions.Count; i++)
        {
            PciFunction function = _functions[i];
            bool shared = _functions.Exists(f => f != function && (IsLink || f.DeviceFunction >> 3 == function.DeviceFunction >> 3));
            function.Config.SetDefault(PciRegisters.CacheLineSize, shared ? MultiFunctionBit : 0, MultiFunctionBit);
            function.Find<AriCapability>()?.SetNext(IsLink && i + 1 < _functions.Count ? _functions[i + 1].DeviceFunction : (byte)0);
        }

        Parent?.ChildrenChanged();
    }
}
