using Aperture.TestPayloads;
using Iced.Intel;
using static Iced.Intel.AssemblerRegisters;

namespace Aperture.Kvm.Tests;

/// <summary>
/// What a guest finds after a reset, whatever it did before: the state after power-on. Its program keeps to what KVM emulates, so that it runs on hosts
/// without hardware for guests: no AVX, no protection keys.
/// </summary>
public class VcpuResetTests
{
    private const byte Port = 0x80;
    private const int Image = 0x4000;

    // The image of FXSAVE (SDM 1, 10.5.1): control word, MXCSR, XMM3.
    private const int ControlWord = Image;
    private const int Mxcsr = Image + 24;
    private const int Xmm3 = Image + 160 + (3 * 16);

    // CR4.OSFXSR, without which FXSAVE leaves the XMM registers out (SDM 3A 2.5).
    private const int Fxsr = 1 << 9;

    // The memory types (SDM 3A 12.11.2), the page attributes, the system call's entry; low and high half, each with what a guest may write there.
    private static readonly (uint Index, uint Low, uint High)[] Msrs =
    [
        (0x2FF, 0xC06, 0), (0x200, 0x10_0001, 0), (0x201, 0xFFF0_0800, 0), (0x20E, 0x20_0004, 0), (0x20F, 0xFFE0_0800, 0),
        (0x250, 0x0606_0606, 0x0606_0606), (0x258, 0x0101_0101, 0x0404_0404), (0x268, 0x0505_0505, 0x0606_0606), (0x26F, 0x0404_0404, 0x0101_0101),
        (0x277, 0x0606_0606, 0x0101_0101), (0x174, 0x18, 0), (0x175, 0x1000, 0), (0x176, 0x2000, 0),
    ];

    [Fact]
    public void A_guest_that_changed_its_registers_finds_them_as_after_power_on()
    {
        using KvmGuest guest = KvmGuest.Start(RomImage.Protected32(code =>
        {
            Report(code);
            Dirty(code);
            Report(code);
            PayloadParts.Done(code);
        }));
        string[] first = guest.Run();
        guest.Exits.Log.Clear();
        string[] second = guest.Run();

        int half = first.Length / 2;
        Assert.Equal(first[..half], second[..half]);
        Assert.Equal(first[half..], second[half..]);

        // The guest did change each of them, or nothing would be proven.
        Assert.All(Enumerable.Range(0, half), i => Assert.NotEqual((i, first[i]), (i, first[half + i])));
        Assert.Equal(Msrs.Sum(msr => msr.High == 0 ? 1 : 2) + 10, half);
    }

    private static void Out(Assembler code) => code.@out(Port, eax);

    private static void Report(Assembler code)
    {
        foreach ((uint index, uint _, uint high) in Msrs)
        {
            code.mov(ecx, index);
            code.rdmsr();
            Out(code);
            if (high != 0)
            {
                code.mov(eax, edx);
                Out(code);
            }
        }

        foreach (AssemblerRegisterDR register in (AssemblerRegisterDR[])[dr0, dr1, dr2, dr3, dr7])
        {
            code.mov(eax, register);
            Out(code);
        }

        code.mov(eax, cr2);
        Out(code);
        code.mov(eax, cr4);
        Out(code);
        code.or(eax, Fxsr);
        code.mov(cr4, eax);
        code.fxsave(__[Image]);
        code.movzx(eax, __word_ptr[ControlWord]);
        Out(code);
        code.mov(eax, __dword_ptr[Mxcsr]);
        Out(code);
        code.mov(eax, __dword_ptr[Xmm3]);
        Out(code);
    }

    private static void Dirty(Assembler code)
    {
        foreach ((uint index, uint low, uint high) in Msrs)
        {
            code.mov(ecx, index);
            code.mov(eax, low);
            code.mov(edx, high);
            code.wrmsr();
        }

        code.mov(eax, 0x1234);
        code.mov(dr0, eax);
        code.mov(dr1, eax);
        code.mov(dr2, eax);
        code.mov(dr3, eax);
        code.mov(cr2, eax);
        code.mov(__dword_ptr[Xmm3], eax);
        code.mov(__word_ptr[ControlWord], 0x127F);
        code.mov(__dword_ptr[Mxcsr], 0x9F80);
        code.fxrstor(__[Image]);
        code.mov(eax, 0x500);
        code.mov(dr7, eax);
    }
}
