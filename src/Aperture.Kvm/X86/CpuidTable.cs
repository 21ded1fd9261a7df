using System.Numerics;
using System.Runtime.InteropServices;
using Aperture.Linux.Kvm;

namespace Aperture.Kvm.X86;

/// <summary>
/// What the CPUID instruction answers a guest: KVM's supported entries, corrected by a <see cref="CpuidPolicy"/>. Leaves as in the Intel SDM volume 2A
/// (CPUID) and AMD APM volume 3 appendix E; 0x40000000 and 0x40000001 as in Linux's Documentation/virt/kvm/x86/cpuid.rst. Immutable.
/// </summary>
public sealed class CpuidTable
{
    private const uint SignificantIndex = 1;
    private const int FallbackPhysicalBits = 36;

    // What nested page tables of four levels translate.
    private const int FourLevelBits = 48;

    private readonly KvmCpuidEntry[] _common;
    private readonly CpuidPolicy _policy;
    private readonly bool _hasTopology;
    private readonly bool _hasDies;
    private readonly int _shownBits;

    /// <summary>Corrects <paramref name="supported"/>, which KVM gave, by <paramref name="policy"/>.</summary>
    public CpuidTable(IReadOnlyList<KvmCpuidEntry> supported, CpuidPolicy policy)
    {
        ArgumentNullException.ThrowIfNull(supported);
        ArgumentNullException.ThrowIfNull(policy);
        ArgumentOutOfRangeException.ThrowIfLessThan(policy.Cpus, 1, nameof(policy));
        _policy = policy;
        Vendor = ReadVendor(supported);
        (_shownBits, PhysicalAddressBits) = BoundBits(supported, policy);
        List<KvmCpuidEntry> common = new(supported.Count);
        foreach (KvmCpuidEntry entry in supported)
        {
            if (IsTopology(entry))
            {
                _hasTopology |= entry.Function == 0xB;
                _hasDies |= entry.Function == 0x1F;
            }
            else if (!IsDropped(entry))
            {
                common.Add(Correct(entry));
            }
        }

        _common = [.. common];
    }

    /// <summary>The processor's vendor, twelve letters, as leaf 0 says it.</summary>
    public string Vendor { get; }

    /// <summary>
    /// The physical address bits that the guest can use: its whole address space has 2^this bytes. Those that it sees (0x80000008 EAX 7:0), or what this host's
    /// nested page tables reach (EAX 23:16 of what KVM supports) where that is less.
    /// </summary>
    public int PhysicalAddressBits { get; }

    /// <summary>The table for guests on this host.</summary>
    /// <param name="system">The opened KVM.</param>
    /// <param name="cpus">How many vCPUs the guest gets.</param>
    /// <param name="physicalAddressBits">The most physical address bits to show, or null.</param>
    /// <param name="maskXsave">Hide XSAVE; null: only where the host is emulated in software.</param>
    public static CpuidTable FromHost(KvmSystem system, int cpus, int? physicalAddressBits = null, bool? maskXsave = null)
    {
        ArgumentNullException.ThrowIfNull(system);

        // Under software emulation the deadline timer's interrupts get lost when the guest idles; the counting timer works.
        bool emulated = HostCpu.IsEmulatedInSoftware();
        return new CpuidTable(system.SupportedCpuid(), new CpuidPolicy
        {
            Cpus = Math.Max(1, cpus),
            PhysicalAddressBits = physicalAddressBits,
            MaskXsave = maskXsave ?? emulated,
            TscDeadlineTimer = !emulated && system.Check(KvmCapability.TscDeadlineTimer) != 0,
        });
    }

    /// <summary>The entries for vCPU <paramref name="index"/>, whose APIC id is the same number.</summary>
    public KvmCpuidEntry[] ForVcpu(int index)
    {
        uint id = (uint)index;
        List<KvmCpuidEntry> entries = [.. _common];
        foreach (ref KvmCpuidEntry entry in CollectionsMarshal.AsSpan(entries))
        {
            switch (entry.Function)
            {
                case 1:
                    entry.Ebx = (entry.Ebx & 0x00FF_FFFF) | (id << 24);
                    break;
                case 0x8000_001E:
                    // Extended APIC id; this core's number and one thread in it; one node.
                    (entry.Eax, entry.Ebx, entry.Ecx, entry.Edx) = (id, id & 0xFF, 0, 0);
                    break;
            }
        }

        if (_hasTopology)
        {
            AddTopology(entries, 0xB, id);
        }

        if (_hasDies)
        {
            AddTopology(entries, 0x1F, id);
        }

        return [.. entries];
    }

    private int IdBits => BitOperations.Log2(BitOperations.RoundUpToPowerOf2((uint)_policy.Cpus));

    private uint IdSpan => 1u << IdBits;

    private bool IsAmd => Vendor is "AuthenticAMD" or "HygonGenuine";

    private static bool IsTopology(KvmCpuidEntry entry) => entry.Function is 0xB or 0x1F;

    // All zero where there is none, as the instruction answers.
    private static KvmCpuidEntry Find(IReadOnlyList<KvmCpuidEntry> supported, uint function)
    {
        foreach (KvmCpuidEntry entry in supported)
        {
            if (entry.Function == function)
            {
                return entry;
            }
        }

        return default;
    }

    private static string ReadVendor(IReadOnlyList<KvmCpuidEntry> supported)
    {
        KvmCpuidEntry zero = Find(supported, 0);
        Span<uint> words = [zero.Ebx, zero.Edx, zero.Ecx];
        return System.Text.Encoding.ASCII.GetString(MemoryMarshal.AsBytes(words));
    }

    // What the processor is to show, and how much of it the host's nested page tables reach; KVM tells the latter since Linux 6.10.
    private static (int Shown, int Reached) BoundBits(IReadOnlyList<KvmCpuidEntry> supported, CpuidPolicy policy)
    {
        uint widths = Find(supported, 0x8000_0008).Eax;
        int host = (int)(widths & 0xFF);
        int reached = (int)(widths >> 16 & 0xFF);
        host = host == 0 ? FallbackPhysicalBits : host;
        int shown = Math.Min(host, policy.PhysicalAddressBits ?? host);
        return (shown, reached == 0 ? shown : Math.Min(shown, reached));
    }

    // Leaves that describe what this monitor gives no guest: SGX (0x12), processor trace (0x14), and with XSAVE hidden its state (0xD) and AMX (0x1D, 0x1E) and
    // AVX10 (0x24).
    private bool IsDropped(KvmCpuidEntry entry) =>
        entry.Function is 0x12 or 0x14 || (_policy.MaskXsave && entry.Function is 0xD or 0x1D or 0x1E or 0x24);

    private KvmCpuidEntry Correct(KvmCpuidEntry entry)
    {
        switch (entry.Function)
        {
            case 1:
                CorrectFeatures(ref entry);
                break;
            case 4:
            case 0x8000_001D:
                CorrectCache(ref entry);
                break;
            case 7:
                CorrectExtendedFeatures(ref entry);
                break;
            case 0xA:
                // No performance counters: version 0.
                (entry.Eax, entry.Ebx, entry.Ecx, entry.Edx) = (0, 0, 0, 0);
                break;
            case 0x4000_0001:
                // PV EOI, PV unhalt, PV IPIs and asynchronous page faults by interrupt need the kernel's local APIC.
                entry.Eax &= _policy.InterruptControllers ? uint.MaxValue : ~Bits(6, 7, 11, 14);
                break;
            case 0x8000_0001:
                entry.Ecx = IsAmd && _policy.Cpus > 1 ? entry.Ecx | Bits(1) : entry.Ecx & ~Bits(1);

                // Performance counter extensions; with XSAVE hidden also XOP, LWP, FMA4.
                entry.Ecx &= ~Bits(23, 24, 28) & (_policy.MaskXsave ? ~Bits(11, 15, 16) : uint.MaxValue);
                break;
            case 0x8000_0008:
                // EAX 23:16, by which OVMF knows that the bits above are meant (docs/firmware.md): never more than is sure to be reached.
                uint reached = (uint)((entry.Eax >> 16 & 0xFF) != 0 ? PhysicalAddressBits : Math.Min(PhysicalAddressBits, FourLevelBits));
                entry.Eax = (reached << 16) | (entry.Eax & 0xFF00) | (uint)_shownBits;
                entry.Ecx = IsAmd ? ((uint)IdBits << 12) | (uint)(_policy.Cpus - 1) : 0;
                break;
            case 0x8000_0022:
                // AMD's performance monitoring version 2.
                (entry.Eax, entry.Ebx, entry.Ecx, entry.Edx) = (0, 0, 0, 0);
                break;
        }

        return entry;
    }

    private void CorrectFeatures(ref KvmCpuidEntry entry)
    {
        entry.Ebx = (entry.Ebx & 0x0000_FFFF) | (Math.Min(IdSpan, 255) << 16);

        // PDCM (15) tells of performance counters; 31 is the hypervisor's bit, 24 the TSC deadline timer, 21 x2APIC.
        entry.Ecx = (entry.Ecx & ~Bits(15, 24)) | Bits(31) | (_policy.TscDeadlineTimer && _policy.InterruptControllers ? Bits(24) : 0);
        entry.Ecx = _policy.InterruptControllers ? entry.Ecx | Bits(21) : entry.Ecx & ~Bits(21);

        // FMA, XSAVE, OSXSAVE, AVX, F16C.
        entry.Ecx &= _policy.MaskXsave ? ~Bits(12, 26, 27, 28, 29) : uint.MaxValue;

        // Debug store (21) belongs to the performance counters; 28 says that EBX 23:16 counts.
        entry.Edx = (entry.Edx & ~Bits(21, 28)) | (_policy.Cpus > 1 ? Bits(28) : 0);
    }

    private void CorrectExtendedFeatures(ref KvmCpuidEntry entry)
    {
        if (entry.Index == 0)
        {
            // SGX (EBX 2), SGX launch control (ECX 30), processor trace (EBX 25).
            entry.Ebx &= ~Bits(2, 25);
            entry.Ecx &= ~Bits(30);
        }

        if (!_policy.MaskXsave)
        {
            return;
        }

        if (entry.Index == 0)
        {
            // AVX2 and AVX-512; PKU and OSPKE; vector AES, carry-less multiply; AMX.
            entry.Ebx &= ~Bits(5, 16, 17, 21, 26, 27, 28, 30, 31);
            entry.Ecx &= ~Bits(1, 3, 4, 6, 9, 10, 11, 12, 14);
            entry.Edx &= ~Bits(2, 3, 8, 22, 23, 24, 25);
        }
        else if (entry.Index == 1)
        {
            // The later parts of AVX and AMX, AVX10 and APX.
            entry.Eax &= ~Bits(0, 1, 2, 4, 5, 21, 23);
            entry.Edx &= ~Bits(4, 5, 8, 10, 19, 21);
        }
    }

    // EAX 25:14 says how many ids share the cache, less one: the first two levels belong to a core, the rest to the socket. Intel's EAX 31:26 is the
    // number of core ids in the socket, less one.
    private void CorrectCache(ref KvmCpuidEntry entry)
    {
        if ((entry.Eax & 0x1F) == 0)
        {
            return;
        }

        uint level = entry.Eax >> 5 & 7;
        uint sharing = level >= 3 ? IdSpan - 1 : 0;
        entry.Eax = (entry.Eax & 0x3FFF) | (sharing << 14);
        if (entry.Function == 4)
        {
            entry.Eax |= Math.Min(IdSpan - 1, 63) << 26;
        }
    }

    // Level 0: one thread (type 1) in a core; level 1: the cores (type 2) of the socket; then the end.
    private void AddTopology(List<KvmCpuidEntry> entries, uint leaf, uint id)
    {
        entries.Add(new KvmCpuidEntry { Function = leaf, Index = 0, Flags = SignificantIndex, Eax = 0, Ebx = 1, Ecx = 0x100, Edx = id });
        entries.Add(new KvmCpuidEntry
        {
            Function = leaf,
            Index = 1,
            Flags = SignificantIndex,
            Eax = (uint)IdBits,
            Ebx = (uint)_policy.Cpus,
            Ecx = 0x201,
            Edx = id
        });
        entries.Add(new KvmCpuidEntry { Function = leaf, Index = 2, Flags = SignificantIndex, Eax = 0, Ebx = 0, Ecx = 2, Edx = id });
    }

    private static uint Bits(params ReadOnlySpan<int> positions)
    {
        uint bits = 0;
        foreach (int position in positions)
        {
            bits |= 1u << position;
        }

        return bits;
    }
}
