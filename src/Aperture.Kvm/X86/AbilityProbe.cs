using System.Buffers.Binary;
using System.Runtime.InteropServices;
using Aperture.Hypervisor.X86;

namespace Aperture.Kvm.X86;

/// <summary>Finds out what a host's KVM can run: a look at the kernel first, then a 64-bit guest of a few instructions, for a bounded time.</summary>
internal static class AbilityProbe
{
    private const int GuestBytes = 64 << 10;
    private const int TablesAt = 0x2000;
    private const int CodeAt = 0x8000;
    private const ulong Pattern = 0x1234_5678_9ABC_DEF0;

    /// <summary>The whole answer for the KVM at <paramref name="path"/>.</summary>
    public static KvmAbility Run(string path)
    {
        try
        {
            using KvmSystem system = KvmSystem.Open(path);
            return IsSoftwareOnly("/sys/module/kvm_pvm", "/proc/cpuinfo")
                ? new KvmAbility(
                    true,
                    false,
                    "KVM is there, but it is kvm_pvm on a processor without VMX or SVM, which runs guests in real mode and 32-bit protected mode only; for "
                        + "64-bit guests use a host with hardware or nested virtualisation.")
                : RunGuest(system);
        }
        catch (ApertureException failure)
        {
            return new KvmAbility(false, false, failure.Message);
        }
    }

    /// <summary>
    /// True when the module kvm_pvm is loaded and the processor shows neither Intel's nor AMD's virtualisation: then no 64-bit guest gets far.
    /// </summary>
    public static bool IsSoftwareOnly(string pvmModule, string cpuInfo)
    {
        if (!Directory.Exists(pvmModule) || !File.Exists(cpuInfo))
        {
            return false;
        }

        string? flags = File.ReadLines(cpuInfo).FirstOrDefault(line => line.StartsWith("flags", StringComparison.Ordinal));
        return flags is not null && !flags.Split(' ', '\t').Any(flag => flag is "vmx" or "svm");
    }

    /// <summary>Runs the guest: it must show both halves of a 64-bit register in two port writes.</summary>
    public static KvmAbility RunGuest(KvmSystem system)
    {
        using Guest guest = new();
        return guest.Run(system, "a host with hardware or nested virtualisation");
    }

    // One 2 MiB page at 0 (SDM 3A 4.5): present, writable, accessed, dirty; 7 makes an entry a large page.
    private static void WritePageTables(Span<byte> guest)
    {
        const ulong Table = 0x23;
        const ulong LargePage = 0xE3;
        ReadOnlySpan<ulong> first = [(TablesAt + 0x1000) | Table, (TablesAt + 0x2000) | Table, LargePage];
        for (int level = 0; level < first.Length; level++)
        {
            BinaryPrimitives.WriteUInt64LittleEndian(guest[(TablesAt + (level * 0x1000))..], first[level]);
        }
    }

    // The code loads no segment register, so its selectors need no table behind them.
    private static BootState Start() => new(new FlatEntry(new GuestAddress(CodeAt), new GuestAddress(TablesAt), new AddressRange(GuestAddress.Zero, 1))
    {
        CodeSelector = 0x10,
        DataSelector = 0x18,
        TaskSelector = 0x20,
    });

    // mov rax, Pattern; mov r15, rax; shr rax, 32; out 0x80, eax; mov rax, r15; out 0x81, eax; jmp $
    private static byte[] Payload() =>
    [
        0x48, 0xB8, .. BitConverter.GetBytes(Pattern),
        0x49, 0x89, 0xC7,
        0x48, 0xC1, 0xE8, 0x20,
        0xE7, 0x80,
        0x4C, 0x89, 0xF8,
        0xE7, 0x81,
        0xEB, 0xFE,
    ];

    private sealed class Guest() : ProbeGuest(Pattern)
    {
        public override void PortWrite(ushort port, int size, uint value)
        {
            switch (port)
            {
                case 0x80:
                    Seen |= (ulong)value << 32;
                    break;
                case 0x81:
                    Seen |= value;
                    Finish();
                    break;
            }
        }

        protected override unsafe bool Execute(KvmSystem system)
        {
            // SAFETY: page-aligned memory of the slot's size, freed only after the vCPU's thread has ended and the VM is closed (reverse order of using).
            byte* memory = (byte*)NativeMemory.AlignedAlloc(GuestBytes, 4096);
            try
            {
                Span<byte> guest = new(memory, GuestBytes);
                guest.Clear();
                WritePageTables(guest);
                Payload().CopyTo(guest[CodeAt..]);

                using KvmVm vm = system.CreateVm(new KvmVmOptions { InterruptControllers = false });
                vm.Memory.Set(0, GuestAddress.Zero, GuestBytes, new HostAddress((ulong)memory), readOnly: false, logDirty: false);
                CpuidTable cpuid = new(system.SupportedCpuid(), new CpuidPolicy { InterruptControllers = false });
                using VcpuGroup vcpus = vm.CreateVcpus(1, cpuid, _ => this);
                return Wait(vcpus, Start());
            }
            finally
            {
                NativeMemory.AlignedFree(memory);
            }
        }
    }
}
