using System.Buffers.Binary;
using Aperture.Firmware.Boot.X86;
using Aperture.Hypervisor.X86;
using Aperture.Kvm.X86;
using Aperture.Linux.Kvm;

namespace Aperture.Kvm.Tests;

public class BootStateTests
{
    private static readonly KvmSpecialRegisters Reset =
        new() { Cr0 = 0x6000_0010, ApicBase = 0xFEE0_0900, Cs = new KvmSegment { Selector = 0xF000, Base = 0xFFFF_0000, Limit = 0xFFFF } };

    [Fact]
    public void The_reset_vector_changes_nothing()
    {
        KvmRegisters registers = new() { Rip = 0xFFF0, Rdx = 0x600, Rflags = 2 };
        Assert.Equal(Reset, BootState.ResetVector.SpecialFrom(Reset));
        Assert.Equal(registers, BootState.ResetVector.RegistersFrom(registers));
    }

    [Fact]
    public void The_64_bit_Linux_state_has_paging_on_flat_segments_and_RSI_at_the_zero_page()
    {
        BootState state = BootStates.Linux64(new GuestAddress(0x10_0200), new GuestAddress(0x7000), new GuestAddress(0x9000), new GuestAddress(0x500));
        KvmSpecialRegisters special = state.SpecialFrom(Reset);
        KvmRegisters registers = state.RegistersFrom(default);
        Assert.Equal((0x10_0200UL, 0x7000UL, 2UL), (registers.Rip, registers.Rsi, registers.Rflags));
        Assert.Equal(0x8000_0001UL, special.Cr0 & 0x8000_0001);
        Assert.Equal((0x9000UL, 0x20UL, 0x500UL), (special.Cr3, special.Cr4, special.Efer));
        Assert.Equal((0x10, 0xB, 1, 0), (special.Cs.Selector, special.Cs.Type, special.Cs.L, special.Cs.Db));
        Assert.All([special.Ds, special.Es, special.Ss],
            segment => Assert.Equal((0x18, 0x3, 0UL, uint.MaxValue), (segment.Selector, segment.Type, segment.Base, segment.Limit)));
        Assert.Equal((0x500UL, BootGdt.Size - 1), (special.Gdt.Base, special.Gdt.Limit));
        Assert.Equal(Reset.ApicBase, special.ApicBase);
    }

    [Fact]
    public void The_PVH_state_has_paging_off_32_bit_segments_and_EBX_at_the_start_info()
    {
        BootState state = BootStates.Pvh(new GuestAddress(0x100_0000), new GuestAddress(0x6000), new GuestAddress(0x500));
        KvmSpecialRegisters special = state.SpecialFrom(Reset);
        KvmRegisters registers = state.RegistersFrom(default);
        Assert.Equal((0x100_0000UL, 0x6000UL), (registers.Rip, registers.Rbx));
        Assert.Equal(1UL, special.Cr0 & 0x8000_0001);
        Assert.Equal((0UL, 0UL), (special.Cr4, special.Efer));
        Assert.Equal((0, 1), (special.Cs.L, special.Cs.Db));
    }

    [Fact]
    public void A_register_that_the_protocol_names_has_its_value_and_the_others_are_0()
    {
        BootState state = new(BootStates.Pvh(default, default, default).Flat! with { Rax = 0x2BAD_B002, Rbx = 0x5000 });
        KvmRegisters registers = state.RegistersFrom(new KvmRegisters { Rdx = 0x600 });
        Assert.Equal((0x2BAD_B002UL, 0x5000UL, 0UL, 0UL), (registers.Rax, registers.Rbx, registers.Rdx, registers.Rsi));
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void The_descriptors_say_what_the_boot_states_hidden_parts_say(bool longMode)
    {
        byte[] table = new byte[BootGdt.Size];
        BootGdt.Write(table, longMode);
        BootState state = longMode
            ? BootStates.Linux64(default, default, default, default)
            : BootStates.Pvh(default, default, default);
        KvmSpecialRegisters special = state.SpecialFrom(Reset);
        foreach (KvmSegment segment in new[] { special.Cs, special.Ds, special.Tr })
        {
            ulong descriptor = BinaryPrimitives.ReadUInt64LittleEndian(table.AsSpan(segment.Selector));
            Assert.Equal(segment.Type, descriptor >> 40 & 0xF);
            Assert.Equal(segment.S, descriptor >> 44 & 1);
            Assert.Equal(segment.Present, descriptor >> 47 & 1);
            Assert.Equal(segment.L, descriptor >> 53 & 1);
            Assert.Equal(segment.Db, descriptor >> 54 & 1);
            Assert.Equal(segment.G, descriptor >> 55 & 1);
            ulong limit = (descriptor & 0xFFFF) | (descriptor >> 32 & 0xF0000);
            Assert.Equal(segment.Limit, segment.G == 1 ? (limit << 12) | 0xFFF : limit);
        }
    }
}
