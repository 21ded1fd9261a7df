using System.Runtime.InteropServices;
using Aperture.Hypervisor;
using Aperture.Hypervisor.Arm64;

namespace Aperture.Kvm.Arm64;

/// <summary>Finds out whether an arm64 host's KVM runs guests, by one of a few instructions, for a bounded time.</summary>
internal static class Arm64Probe
{
    private const int AddressBits = 32;
    private const ulong RamStart = 0x4000_0000;
    private const ulong Device = 0x900_0000;
    private const int PageSize = 64 << 10;
    private const uint Pattern = 0x1234;

    // movz w1, #Pattern; movz x2, #(Device >> 16), lsl #16; str w1, [x2]; b . (Arm ARM C6.2)
    private static readonly uint[] Code =
        [0x5280_0000 | Pattern << 5 | 1, 0xD2A0_0000 | (uint)(Device >> 16) << 5 | 2, 0xB900_0041, 0x1400_0000];

    /// <summary>The whole answer for the KVM at <paramref name="path"/>.</summary>
    public static KvmAbility Run(string path)
    {
        try
        {
            using KvmSystem system = KvmSystem.Open(path);
            using Guest guest = new();
            return guest.Run(system, "another host");
        }
        catch (ApertureException failure)
        {
            return new KvmAbility(false, false, failure.Message);
        }
    }

    private sealed class Guest() : ProbeGuest(Pattern)
    {
        public override void MmioWrite(GuestAddress address, int size, ulong value)
        {
            Seen = address.Value == Device ? value : 0;
            Finish();
        }

        protected override unsafe bool Execute(KvmSystem system)
        {
            // SAFETY: page-aligned memory of the slot's size, freed only after the vCPU's thread has ended and the VM is closed (reverse order of using). The
            // kernel's pages have at most 64 KiB.
            byte* memory = (byte*)NativeMemory.AlignedAlloc(PageSize, PageSize);
            try
            {
                Span<byte> guest = new(memory, PageSize);
                guest.Clear();
                MemoryMarshal.AsBytes<uint>(Code).CopyTo(guest);

                GicDescription none = new(GuestAddress.Zero, [], null, 0);
                using KvmVm vm = system.CreateVm(new KvmVmOptions
                {
                    InterruptControllers = false,
                    Arm64 = new Arm64Template(1, AddressBits, none, default),
                });
                vm.Memory.Set(0, new GuestAddress(RamStart), PageSize, new HostAddress((ulong)memory), readOnly: false, logDirty: false);
                using PreparedVcpus prepared = (PreparedVcpus)((IVm)vm).PrepareExits();
                using VcpuGroup vcpus = prepared.Begin(_ => this);
                return Wait(vcpus, new BootState(new GuestAddress(RamStart), GuestAddress.Zero));
            }
            finally
            {
                NativeMemory.AlignedFree(memory);
            }
        }
    }
}
