using System.Numerics;
using Aperture.Pci.Registers;

namespace Aperture.Pci.Capabilities;

/// <summary>
/// Single root I/O virtualization, id 0x0010 (PCI Express 5.0, section 9.3.3): it shows as many VFs as the guest enables, at routing ids from First VF Offset
/// on, and has the VF BARs, each of which takes one VF's size times their number. VFs come and go at once.
/// </summary>
public sealed class SriovCapability : ExtendedCapability
{
    /// <summary>Capability id.</summary>
    public const ushort CapabilityId = 0x0010;

    /// <summary>The smallest share of a VF BAR that a VF takes, in bytes: the smallest page (PCI Express 5.0, section 9.3.3.12).</summary>
    public const ulong SmallestShare = 1UL << SmallestPageShift;

    // Registers of section 9.3.3.
    private const int Size = 0x40;
    private const int Control = 0x08;
    private const int InitialVfs = 0x0C;
    private const int TotalVfsRegister = 0x0E;
    private const int NumVfs = 0x10;
    private const int FirstVfOffset = 0x14;
    private const int VfStride = 0x16;
    private const int VfDeviceId = 0x1A;
    private const int SupportedPageSizes = 0x1C;
    private const int SystemPageSize = 0x20;
    private const int VfBar0 = 0x24;
    private const int VfBarEnd = 0x3C;
    private const int VfBars = 6;

    private const uint VfEnable = 1 << 0;
    private const uint VfMemorySpaceEnable = 1 << 3;
    private const uint AriCapableHierarchy = 1 << 4;

    // 4, 8, 64, 256 KiB, 1 and 4 MiB, which every device supports (section 9.3.3.12); bit n is 2^(n + 12).
    private const uint PageSizes = 0x553;
    private const int SmallestPageShift = 12;

    private readonly IReadOnlyList<VirtualFunction> _functions;
    private readonly ushort _deviceId;
    private readonly ushort _firstOffset;
    private readonly ushort _stride;
    private readonly List<(Bar Bar, ulong Size)> _bars = [];
    private uint _ari;

    /// <summary>Makes the capability, which shows no VFs yet.</summary>
    /// <param name="functions">All VFs that there can be, by number.</param>
    /// <param name="deviceId">Their device id, which is not in their own registers.</param>
    /// <param name="firstOffset">From the function's routing id to the first VF's; at least 1.</param>
    /// <param name="stride">From one VF's routing id to the next; at least 1.</param>
    public SriovCapability(IReadOnlyList<VirtualFunction> functions, ushort deviceId, ushort firstOffset = 1, ushort stride = 1)
        : base(CapabilityId, 1, Size)
    {
        ArgumentNullException.ThrowIfNull(functions);
        ArgumentOutOfRangeException.ThrowIfZero(functions.Count);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(functions.Count, ushort.MaxValue);
        ArgumentOutOfRangeException.ThrowIfZero(firstOffset);
        ArgumentOutOfRangeException.ThrowIfZero(stride);
        (_functions, _deviceId, _firstOffset, _stride) = (functions, deviceId, firstOffset, stride);
        for (int i = 0; i < functions.Count; i++)
        {
            functions[i].Distance = firstOffset + (i * stride);
        }
    }

    /// <summary>TotalVFs: how many VFs there can be.</summary>
    public int TotalVfs => _functions.Count;

    /// <summary>How many VFs there are: NumVFs, TotalVFs at most, while VF Enable is on.</summary>
    public int Enabled => IsOn(VfEnable) ? Math.Min((int)(Config.Get(Offset + NumVfs) & 0xFFFF), TotalVfs) : 0;

    /// <summary>VF MSE: the VFs that there are answer in memory.</summary>
    public bool IsMemoryEnabled => IsOn(VfMemorySpaceEnable) && Enabled > 0;

    /// <summary>The last VF's routing id, counted as in <see cref="FindAt"/>; negative when there is none.</summary>
    internal int LastPlace => Enabled == 0 ? -1 : Function.DeviceFunction + _functions[Enabled - 1].Distance;

    /// <summary>Adds VF BAR <paramref name="index"/> (0 to 5) of <paramref name="size"/> bytes for each VF; it counts as at least the system's page.</summary>
    /// <exception cref="ApertureException">The index is taken or out of range, or kind or size do not suit a VF BAR.</exception>
    public Bar AddBar(int index, BarKind kind, ulong size)
    {
        BarRules.Check(Function.Name, index, kind, size, VfBars);
        int last = index + (kind.Is64Bit() ? 1 : 0);
        bool taken = _bars.Exists(other => index <= Last(other.Bar) && Index(other.Bar) <= last);
        ulong most = BarRules.LargestSize(BarKind.Memory64);
        if (kind is BarKind.Io or BarKind.Rom || taken || Share(size, PageSizes) > most / (ulong)TotalVfs)
        {
            throw new ApertureException(
                $"{BarKinds.BarName(BarKinds.Vf0 + index)} of {Function.Name} cannot be a {kind.Keyword()} BAR of {ByteSize.Format(size)} for each of "
                    + $"{TotalVfs} VFs: use a memory BAR in registers of its own, of at most {ByteSize.Format(most)} in all");
        }

        Bar bar = new(Function, BarKinds.Vf0 + index, kind, Share(size, PageSizes & 1), Offset + VfBar0 + (4 * index)) { Sriov = this };
        Function.AddBar(bar);
        _bars.Add((bar, size));
        return bar;

        static int Index(Bar bar) => bar.Index - BarKinds.Vf0;

        static int Last(Bar bar) => Index(bar) + (bar.Kind.Is64Bit() ? 1 : 0);
    }

    /// <summary>
    /// The VF that answers to the routing id <paramref name="place"/> above that of device 0, function 0 of the function's bus; null for none.
    /// </summary>
    internal VirtualFunction? FindAt(int place)
    {
        int distance = place - Function.DeviceFunction - _firstOffset;
        return distance >= 0 && distance % _stride == 0 && distance / _stride < Enabled ? _functions[distance / _stride] : null;
    }

    /// <inheritdoc/>
    protected override void Define()
    {
        // Only a device with a link above it is part of an ARI hierarchy.
        uint ari = Function.Find<AriCapability>() is null ? 0 : AriCapableHierarchy;
        Config.Define(Offset + Control, 2, 0, writable: VfEnable | VfMemorySpaceEnable | ari);
        Config.Define(Offset + InitialVfs, 2, (uint)TotalVfs);
        Config.Define(Offset + TotalVfsRegister, 2, (uint)TotalVfs);
        Config.Define(Offset + NumVfs, 2, 0, writable: 0xFFFF);
        Config.Define(Offset + FirstVfOffset, 2, _firstOffset);
        Config.Define(Offset + VfStride, 2, _stride);
        Config.Define(Offset + VfDeviceId, 2, _deviceId);
        Config.Define(Offset + SupportedPageSizes, 4, PageSizes);
        Config.Define(Offset + SystemPageSize, 4, 1, writable: PageSizes);
    }

    /// <inheritdoc/>
    protected internal override ConfigChange OnWritten(in RegisterWrite write)
    {
        switch (write.Register)
        {
            case Control:
                _ari = write.After & AriCapableHierarchy;
                return Controlled(write);

            // Neither may change while there are VFs (sections 9.3.3.7 and 9.3.3.13): the write is dropped. A page size is one bit.
            case NumVfs when IsOn(VfEnable):
                Config.Set(Offset + NumVfs, write.Before);
                return ConfigChange.None;
            case SystemPageSize when IsOn(VfEnable) || BitOperations.PopCount(write.After) != 1:
                Config.Set(Offset + SystemPageSize, write.Before);
                return ConfigChange.None;
            case SystemPageSize:
                Rescale();
                return write.Changed != 0 ? ConfigChange.BarProgrammed : ConfigChange.None;
            case >= VfBar0 and < VfBarEnd:
                return BarAt(Offset + write.Register)?.Written(write with { Register = Offset + write.Register }) ?? ConfigChange.None;
            default:
                return ConfigChange.None;
        }
    }

    /// <inheritdoc/>
    protected internal override void OnReset(ResetKind kind)
    {
        // The hierarchy is what it was when one function is reset (section 9.3.3.3.5).
        _ari = kind == ResetKind.Function ? _ari : 0;
        Config.Set(Offset + Control, _ari, AriCapableHierarchy);
        Rescale();
        foreach ((Bar bar, ulong _) in _bars)
        {
            bar.RestorePin();
        }

        Function.Bus?.Hierarchy?.InvalidateRoutes();
    }

    private static ulong Share(ulong size, uint page) => Math.Max(size, 1UL << (BitOperations.Log2(page) + SmallestPageShift));

    private bool IsOn(uint bit) => (Config.Get(Offset + Control) & bit) != 0;

    private Bar? BarAt(int register)
    {
        foreach ((Bar bar, ulong _) in _bars)
        {
            if (register == bar.Register || (bar.Kind.Is64Bit() && register == bar.Register + 4))
            {
                return bar;
            }
        }

        return null;
    }

    private ConfigChange Controlled(in RegisterWrite write)
    {
        if ((write.Changed & VfEnable) == 0)
        {
            return (write.Changed & VfMemorySpaceEnable) != 0 && IsOn(VfEnable) ? ConfigChange.DecodeMap : ConfigChange.None;
        }

        // VFs that come are as after power-on, those that leave forget what they were told.
        foreach (VirtualFunction function in _functions)
        {
            function.Reset(ResetKind.Cold);
        }

        Function.Bus?.Hierarchy?.InvalidateRoutes();
        return ConfigChange.BusNumbers | ConfigChange.DecodeMap;
    }

    // Each VF's share is a page at least.
    private void Rescale()
    {
        uint page = Config.Get(Offset + SystemPageSize);
        foreach ((Bar bar, ulong size) in _bars)
        {
            if (bar.Size != Share(size, page))
            {
                bar.Resize(Share(size, page));
            }
        }
    }
}
