using System.Globalization;
using Aperture.Kvm.X86;
using Aperture.Linux.Kvm;
using FsCheck.Fluent;

namespace Aperture.Kvm.Tests;

public class CpuidTableTests
{
    // Function, index, flags, EAX, EBX, ECX, EDX as KVM_GET_SUPPORTED_CPUID gives them: the parts of interest of an Intel server processor ...
    private const string Intel = """
        0 0 0 1f 756e6547 6c65746e 49656e69
        1 0 0 806f8 00400800 fffa7203 bfebfbff
        4 0 1 fc004121 02c0003f 3f 0
        4 1 1 fc004122 01c0003f 3f 0
        4 2 1 fc01c143 03c0003f 7ff 0
        4 3 1 fc1fc163 0380003f 1ffff 4
        4 4 1 0 0 0 0
        6 0 0 4 0 0 0
        7 0 1 2 f1bf27ef 5b41bfde ffdd4432
        7 1 1 1c30 0 0 0
        a 0 0 7300605 0 7 8603
        b 0 1 1 2 100 7
        b 1 1 7 40 201 7
        d 0 1 602e7 240 2b00 0
        d 1 1 1f 240 1800 0
        12 0 1 3 1 0 1f1f
        14 0 1 1 1f 7 0
        1d 0 1 1 0 0 0
        1f 0 1 1 2 100 7
        1f 1 1 7 40 201 7
        40000000 0 0 40000001 4b4d564b 564b4d56 4d
        40000001 0 0 1007efb 0 0 0
        80000000 0 0 80000008 0 0 0
        80000001 0 0 0 0 121 2c100800
        80000008 0 0 302e 0 5 0
        """;

    // ... and of an AMD one.
    private const string Amd = """
        0 0 0 10 68747541 444d4163 69746e65
        1 0 0 a20f12 00400800 7ef8320b 178bfbff
        7 0 1 0 219c97a9 40069c 10
        b 0 1 1 2 100 3
        b 1 1 7 40 201 3
        d 0 1 207 340 988 0
        40000000 0 0 40000001 4b4d564b 564b4d56 4d
        40000001 0 0 1007efb 0 0 0
        80000000 0 0 80000022 68747541 444d4163 69746e65
        80000001 0 0 a20f12 40000000 75c237ff 2fd3fbff
        80000008 0 0 3030 1101d205 703f 10007
        8000001d 0 1 4121 1c0003f 3f 0
        8000001d 3 1 1c163 3c0003f 7fff 1
        8000001d 4 1 0 0 0 0
        8000001e 0 0 7 103 300 0
        80000022 0 0 1 6 0 0
        """;

    private static KvmCpuidEntry[] Parse(string text) => [.. text.Split('\n', StringSplitOptions.RemoveEmptyEntries).Select(line =>
    {
        uint[] words = [.. line.Split(' ', StringSplitOptions.RemoveEmptyEntries)
            .Select(word => uint.Parse(word, NumberStyles.HexNumber, CultureInfo.InvariantCulture))];
        return new KvmCpuidEntry { Function = words[0], Index = words[1], Flags = words[2], Eax = words[3], Ebx = words[4], Ecx = words[5], Edx = words[6] };
    })];

    private static KvmCpuidEntry Leaf(KvmCpuidEntry[] entries, uint function, uint index = 0) =>
        Assert.Single(entries, entry => entry.Function == function && entry.Index == index);

    [Theory]
    [InlineData(Intel)]
    [InlineData(Amd)]
    public void Every_vCPU_has_its_index_as_its_APIC_id_wherever_CPUID_tells_it(string recorded)
    {
        CpuidTable table = new(Parse(recorded), new CpuidPolicy { Cpus = 6 });
        for (int index = 0; index < 6; index++)
        {
            KvmCpuidEntry[] entries = table.ForVcpu(index);
            Assert.Equal((uint)index, Leaf(entries, 1).Ebx >> 24);
            Assert.All(entries.Where(entry => entry.Function is 0xB or 0x1F), entry => Assert.Equal((uint)index, entry.Edx));
            Assert.All(entries.Where(entry => entry.Function == 0x8000_001E), entry => Assert.Equal((uint)index, entry.Eax));
        }
    }

    // The oracle reads the topology as the SDM's enumeration does (3A 9.9.3): shift the id right by the widths that the levels give.
    [Fact]
    public void The_topology_is_one_socket_of_single_threaded_cores_for_any_count()
    {
        Prop.ForAll(Gen.Choose(1, 64).ToArbitrary(), cpus =>
        {
            CpuidTable table = new(Parse(Intel), new CpuidPolicy { Cpus = cpus });
            HashSet<(uint Socket, uint Core, uint Thread)> places = [];
            for (int index = 0; index < cpus; index++)
            {
                KvmCpuidEntry[] entries = table.ForVcpu(index);
                foreach (uint leaf in new uint[] { 0xB, 0x1F })
                {
                    KvmCpuidEntry threads = Leaf(entries, leaf, 0);
                    KvmCpuidEntry cores = Leaf(entries, leaf, 1);
                    KvmCpuidEntry end = Leaf(entries, leaf, 2);
                    Assert.Equal((1u, 2u, 0u), (threads.Ecx >> 8 & 0xFF, cores.Ecx >> 8 & 0xFF, end.Ecx >> 8 & 0xFF));
                    Assert.Equal((1u, (uint)cpus, 0u), (threads.Ebx, cores.Ebx, end.Ebx));
                    int threadBits = (int)threads.Eax;
                    int coreBits = (int)cores.Eax;
                    Assert.InRange(cpus, (1 << coreBits >> 1) + (coreBits == 0 ? 0 : 1), 1 << coreBits);
                    uint id = cores.Edx;
                    places.Add((id >> coreBits, id >> threadBits & ((1u << (coreBits - threadBits)) - 1), id & ((1u << threadBits) - 1)));
                }

                Assert.Equal(cpus > 1, (Leaf(entries, 1).Edx & 1 << 28) != 0);
                Assert.True((Leaf(entries, 1).Ebx >> 16 & 0xFF) >= cpus);
                uint socketIds = (Leaf(entries, 4, 3).Eax >> 26) + 1;
                uint sharing = (Leaf(entries, 4, 3).Eax >> 14 & 0xFFF) + 1;
                Assert.InRange((uint)cpus, (socketIds / 2) + (socketIds == 1 ? 0u : 1u), socketIds);
                Assert.Equal(socketIds, sharing);
                Assert.Equal(0u, Leaf(entries, 4, 2).Eax >> 14 & 0xFFF);
            }

            Assert.Equal(cpus, places.Count);
            Assert.All(places, place => Assert.Equal((0u, 0u), (place.Socket, place.Thread)));
        }).Holds();
    }

    [Fact]
    public void The_end_of_the_cache_list_stays_the_end()
    {
        KvmCpuidEntry[] entries = new CpuidTable(Parse(Intel), new CpuidPolicy { Cpus = 8 }).ForVcpu(0);
        Assert.Equal(0u, Leaf(entries, 4, 4).Eax);
    }

    [Theory]
    [InlineData(Intel, null, 46)]
    [InlineData(Intel, 40, 40)]
    [InlineData(Intel, 52, 46)]
    [InlineData(Amd, null, 48)]
    public void Physical_address_bits_are_the_hosts_or_fewer(string recorded, int? asked, int shown)
    {
        CpuidTable table = new(Parse(recorded), new CpuidPolicy { PhysicalAddressBits = asked });
        Assert.Equal(shown, table.PhysicalAddressBits);
        Assert.Equal((uint)shown << 16 | 0x3000u | (uint)shown, Leaf(table.ForVcpu(0), 0x8000_0008).Eax);
    }

    // EDX 26 of leaf 0x80000001: without it firmware covers 40 bits at most, or in small pages (docs/firmware.md).
    [Theory]
    [InlineData(0x2C10_0800u, true)]
    [InlineData(0x2810_0800u, false)]
    public void Pages_of_1_GiB_are_offered_where_KVM_offers_them(uint supported, bool offered)
    {
        KvmCpuidEntry[] entries = [new() { Function = 0x8000_0001, Edx = supported }];
        uint shown = Leaf(new CpuidTable(entries, new CpuidPolicy { MaskXsave = true, PhysicalAddressBits = 40 }).ForVcpu(0), 0x8000_0001).Edx;
        Assert.Equal(offered, (shown & 1 << 26) != 0);
    }

    // EAX 23:16, 15:8 and 7:0 of leaf 0x80000008: what KVM supports, what a guest sees of it, and what it can use.
    [Theory]
    [InlineData(0x0030_3934u, null, 0x0030_3934u, 48)]
    [InlineData(0x0030_3934u, 40, 0x0028_3928u, 40)]
    [InlineData(0x0030_3934u, 50, 0x0030_3932u, 48)]
    [InlineData(0x0034_3934u, null, 0x0034_3934u, 52)]
    [InlineData(0x0000_3934u, null, 0x0030_3934u, 52)]
    public void The_guest_s_own_address_bits_are_those_that_nested_page_tables_reach(uint supported, int? asked, uint shown, int usable)
    {
        KvmCpuidEntry[] entries = [new() { Function = 0x8000_0008, Eax = supported }];
        CpuidTable table = new(entries, new CpuidPolicy { PhysicalAddressBits = asked });
        Assert.Equal(usable, table.PhysicalAddressBits);
        Assert.Equal(shown, Leaf(table.ForVcpu(0), 0x8000_0008).Eax);
    }

    [Fact]
    public void A_processor_that_does_not_tell_its_address_bits_has_36() =>
        Assert.Equal(36, new CpuidTable([], new CpuidPolicy()).PhysicalAddressBits);

    [Fact]
    public void AMDs_core_count_and_id_width_follow_the_guest()
    {
        KvmCpuidEntry[] entries = new CpuidTable(Parse(Amd), new CpuidPolicy { Cpus = 5 }).ForVcpu(4);
        Assert.Equal(0x3004u, Leaf(entries, 0x8000_0008).Ecx);
        Assert.Equal((4u, 4u, 0u), (Leaf(entries, 0x8000_001E).Eax, Leaf(entries, 0x8000_001E).Ebx, Leaf(entries, 0x8000_001E).Ecx));
        Assert.Equal(7u, Leaf(entries, 0x8000_001D, 3).Eax >> 14 & 0xFFF);
        Assert.Equal(2u, Leaf(entries, 0x8000_0001).Ecx & 2);
        Assert.Equal(0u, Leaf(new CpuidTable(Parse(Amd), new CpuidPolicy()).ForVcpu(0), 0x8000_0001).Ecx & 2);
    }

    [Fact]
    public void The_hypervisor_shows_and_its_own_leaves_stay()
    {
        KvmCpuidEntry[] supported = Parse(Intel);
        KvmCpuidEntry[] entries = new CpuidTable(supported, new CpuidPolicy()).ForVcpu(0);
        Assert.Equal(1u, Leaf(entries, 1).Ecx >> 31);
        Assert.Equal(Leaf(supported, 0x4000_0000), Leaf(entries, 0x4000_0000));
        Assert.Equal(Leaf(supported, 0x4000_0001), Leaf(entries, 0x4000_0001));
        KvmCpuidEntry[] bare = new CpuidTable(supported, new CpuidPolicy { InterruptControllers = false, TscDeadlineTimer = true }).ForVcpu(0);
        Assert.Equal(0u, Leaf(bare, 0x4000_0001).Eax & 0b0100_1000_1100_0000);
        Assert.Equal(0u, Leaf(bare, 1).Ecx & (1 << 21 | 1 << 24));
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void The_TSC_deadline_timer_shows_only_where_KVM_has_it(bool has)
    {
        KvmCpuidEntry[] entries = new CpuidTable(Parse(Intel), new CpuidPolicy { TscDeadlineTimer = has }).ForVcpu(0);
        Assert.Equal(has, (Leaf(entries, 1).Ecx & 1 << 24) != 0);
        Assert.NotEqual(0u, Leaf(entries, 1).Ecx & 1 << 21);
    }

    [Theory]
    [InlineData(Intel)]
    [InlineData(Amd)]
    public void Performance_counters_SGX_and_processor_trace_are_hidden(string recorded)
    {
        KvmCpuidEntry[] entries = new CpuidTable(Parse(recorded), new CpuidPolicy()).ForVcpu(0);
        Assert.All(entries.Where(entry => entry.Function is 0xA or 0x8000_0022), entry => Assert.Equal(0u, entry.Eax | entry.Ebx | entry.Ecx | entry.Edx));
        Assert.DoesNotContain(entries, entry => entry.Function is 0x12 or 0x14);
        Assert.Equal(0u, Leaf(entries, 1).Ecx & 1 << 15);
        Assert.Equal(0u, Leaf(entries, 7).Ebx & (1 << 2 | 1 << 25));
    }

    [Theory]
    [InlineData(Intel)]
    [InlineData(Amd)]
    public void With_XSAVE_masked_nothing_that_needs_it_is_left_and_without_nothing_is_lost(string recorded)
    {
        KvmCpuidEntry[] supported = Parse(recorded);
        KvmCpuidEntry[] masked = new CpuidTable(supported, new CpuidPolicy { MaskXsave = true }).ForVcpu(0);
        Assert.Equal(0u, Leaf(masked, 1).Ecx & (1u << 12 | 1u << 26 | 1u << 27 | 1u << 28 | 1u << 29));
        Assert.Equal(0u, Leaf(masked, 7).Ebx & (1u << 5 | 1u << 16 | 1u << 17 | 1u << 30 | 1u << 31));
        Assert.Equal(0u, Leaf(masked, 7).Ecx & (1u << 3 | 1u << 4 | 1u << 9 | 1u << 10));
        Assert.Equal(0u, Leaf(masked, 7).Edx & (1u << 22 | 1u << 24 | 1u << 25));
        Assert.DoesNotContain(masked, entry => entry.Function is 0xD or 0x1D);
        Assert.NotEqual(0u, Leaf(masked, 1).Edx & 1 << 26);

        KvmCpuidEntry[] open = new CpuidTable(supported, new CpuidPolicy()).ForVcpu(0);
        Assert.Equal(Leaf(supported, 0xD), Leaf(open, 0xD));
        Assert.Equal(Leaf(supported, 7).Ecx & ~(1u << 30), Leaf(open, 7).Ecx);
        Assert.Equal(Leaf(supported, 1).Ecx & (1u << 26 | 1u << 28), Leaf(open, 1).Ecx & (1u << 26 | 1u << 28));
    }

    [Fact]
    public void No_leaf_is_given_twice_and_none_is_invented()
    {
        foreach (string recorded in new[] { Intel, Amd })
        {
            KvmCpuidEntry[] supported = Parse(recorded);
            KvmCpuidEntry[] entries = new CpuidTable(supported, new CpuidPolicy { Cpus = 3 }).ForVcpu(2);
            Assert.Equal(entries.Length, entries.DistinctBy(entry => (entry.Function, entry.Index)).Count());
            Assert.Empty(entries.Select(entry => entry.Function).Except(supported.Select(entry => entry.Function)));
        }
    }

    [Fact]
    public void This_hosts_own_table_is_taken_by_its_KVM()
    {
        KvmGuest.RequireKvm();
        using KvmSystem system = KvmSystem.Open();
        using KvmVm vm = system.CreateVm(new KvmVmOptions());
        CpuidTable table = CpuidTable.FromHost(system, 2, physicalAddressBits: 40);
        using VcpuGroup vcpus = vm.CreateVcpus(2, table, _ => new ScriptedExits());
        Assert.InRange(table.PhysicalAddressBits, 32, 40);
        Assert.Equal(12, table.Vendor.Length);
    }
}
