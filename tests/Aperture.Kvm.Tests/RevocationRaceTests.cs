using System.Globalization;
using System.Runtime.InteropServices;
using Aperture.Linux;
using Aperture.TestKit.Parts.Faulting;
using Aperture.TestPayloads;
using Iced.Intel;
using static Iced.Intel.AssemblerRegisters;

namespace Aperture.Kvm.Tests;

/// <summary>
/// Revocations that race with the touches of two vCPUs. Each round has a page of the source, which says the round's number; once its revocation has returned
/// the guest is told so, and must see no older number from then on, nor may a store of its reach an older page.
/// </summary>
[Collection(nameof(RevocationRaceTests))]
[CollectionDefinition(nameof(RevocationRaceTests), DisableParallelization = true)]
public class RevocationRaceTests
{
    private const ulong Page = Grantor.Page;
    private const int Pages = 8;

    // In the guest's first megabyte, where a vCPU in real mode reaches it too.
    private const uint Slot = 0x8_0000;
    private const uint Settled = 0x3000;
    private const uint Results = 0x3100;
    private const uint ResultsStride = 0x10;
    private const int StoreAt = 0x100;
    private const uint Untouched = 0xA5A5_A5A5;

    /// <summary>How many revocations. APERTURE_REVOCATIONS=100000 for the whole of it.</summary>
    private static readonly int Rounds =
        int.TryParse(Environment.GetEnvironmentVariable("APERTURE_REVOCATIONS"), NumberStyles.None, CultureInfo.InvariantCulture, out int rounds) ? rounds : 1000;

    [Fact]
    public void No_vCPU_reaches_a_page_once_its_revocation_has_returned()
    {
        (uint[] touches, uint[] stale, int late) = Race(Rounds, static (granted, publish) =>
        {
            granted.Memory.Revoke(0, Page);
            publish();
        });
        Assert.InRange((long)touches[0] + touches[1], Rounds, long.MaxValue);
        Assert.All(touches, static count => Assert.NotEqual(0u, count));
        Assert.Equal([0u, 0u], stale);
        Assert.Equal(0, late);
    }

    [Fact]
    public void Pages_that_are_not_revoked_are_seen_by_the_patterns()
    {
        (_, uint[] stale, int late) = Race(200, static (_, publish) => publish());
        Assert.NotEqual(0u, stale[0] + stale[1]);
        Assert.NotEqual(0, late);
    }

    [Fact]
    public void A_revocation_that_returns_before_it_is_done_is_seen_by_the_patterns()
    {
        (_, uint[] stale, int late) = Race(1000, static (granted, publish) =>
        {
            publish();
            granted.Memory.Revoke(0, Page);
        });
        Assert.NotEqual(0, (long)stale[0] + stale[1] + late);
    }

    // The touches and the stale loads of each vCPU, and how many pages a store reached too late.
    private static (uint[] Touches, uint[] Stale, int Late) Race(int rounds, Action<Grantor, Action> revoke)
    {
        KvmGuest.RequireKvm();
        using Grantor granted = new(Pages);
        Lock books = new();
        int granting = 0;
        granted.OnTouch = offset =>
        {
            lock (books)
            {
                return granted.Give(offset, 1, shift: granting % Pages);
            }
        };
        Begin(0);
        using KvmGuest guest = new(RomImage.Protected32(code =>
        {
            StartSecond(code);
            Touch(code, 0);
        }), cpus: 2);
        Assembler second = new(16);
        second.xor(ax, ax);
        second.mov(ds, ax);
        second.mov(ax, (ushort)(Slot >> 4));
        second.mov(es, ax);
        Touch(second, 1);
        RomImage.Assemble(second, 0x6000).CopyTo(guest.Ram.Bytes[0x6000..]);
        guest.Vm.Memory.Set(KvmGuest.FreeSlot, new GuestAddress(Slot), Pages * Page, granted.Memory.Address, readOnly: false, logDirty: false);
        guest.Go();
        Assert.True(SpinWait.SpinUntil(() => Word(guest, 0, 0) > 10 && Word(guest, 1, 0) > 10, 20_000), "both vCPUs did not begin");
        int late = 0;
        for (int round = 1; round <= rounds; round++)
        {
            Begin(round);
            int current = round;
            revoke(granted, () => Volatile.Write(ref MemoryMarshal.Cast<byte, int>(guest.Ram.Bytes[(int)Settled..])[0], current));

            // The page of the last round is another's now: nothing of this guest may get there any more. It is looked at when the next round is over.
            late += round > 1 && Mark(round - 2) != Untouched ? 1 : 0;
            Put(round - 1, Untouched);

            // Most rounds last until somebody has touched; the others race with the grant.
            if (round % 4 != 0)
            {
                AwaitTouches(guest, 2);
            }
        }

        guest.Vcpus.Stop();
        Assert.Null(granted.Memory.Verify());
        Assert.Empty(guest.AllExits[0].Stopped);
        Assert.Empty(guest.AllExits[1].Stopped);
        return ([Word(guest, 0, 0), Word(guest, 1, 0)], [Word(guest, 0, 4), Word(guest, 1, 4)], late);

        void Begin(int round)
        {
            lock (books)
            {
                Assert.Equal(4, FileDescriptors.TryWriteAt(granted.File, (ulong)(round % Pages) * Page, BitConverter.GetBytes(round)));
                Assert.Equal(4, FileDescriptors.TryWriteAt(granted.File, ((ulong)(round % Pages) * Page) + Page - 4, BitConverter.GetBytes(round)));
                granting = round;
            }
        }

        uint Mark(int round)
        {
            byte[] bytes = new byte[4];
            Assert.Equal(4, FileDescriptors.TryReadAt(granted.File, ((ulong)(round % Pages) * Page) + StoreAt, bytes));
            return BitConverter.ToUInt32(bytes);
        }

        void Put(int round, uint value) =>
            Assert.Equal(4, FileDescriptors.TryWriteAt(granted.File, ((ulong)(round % Pages) * Page) + StoreAt, BitConverter.GetBytes(value)));
    }

    // Without sleeping: the revocation is to come while they touch.
    private static void AwaitTouches(KvmGuest guest, uint count)
    {
        long deadline = Environment.TickCount64 + 20_000;
        uint before = Word(guest, 0, 0) + Word(guest, 1, 0);
        while (Word(guest, 0, 0) + Word(guest, 1, 0) - before < count)
        {
            Assert.True(Environment.TickCount64 < deadline, "no vCPU goes on");
            Thread.Yield();
        }
    }

    private static uint Word(KvmGuest guest, int vcpu, int at) =>
        Volatile.Read(ref MemoryMarshal.Cast<byte, uint>(guest.Ram.Bytes[(int)(Results + ((uint)vcpu * ResultsStride) + at)..])[0]);

    // For ever: what may be seen at least, then the page's two ends, the older of which may not be less, then a store. Results: touches, stale loads.
    private static void Touch(Assembler code, int vcpu)
    {
        uint results = Results + ((uint)vcpu * ResultsStride);
        bool isReal = code.Bitness == 16;
        Label loop = code.CreateLabel();
        Label fresh = code.CreateLabel();
        Label last = code.CreateLabel();
        code.Label(ref loop);
        code.mov(ebx, __dword_ptr[Settled]);
        code.mov(eax, InSlot(0));
        code.mov(edx, InSlot((uint)Page - 4));
        code.inc(__dword_ptr[results]);
        code.cmp(eax, ebx);
        code.jae(fresh);
        code.inc(__dword_ptr[results + 4]);
        code.Label(ref fresh);
        code.cmp(edx, ebx);
        code.jae(last);
        code.inc(__dword_ptr[results + 4]);
        code.Label(ref last);
        code.mov(InSlot(StoreAt), eax);
        code.jmp(loop);

        AssemblerMemoryOperand InSlot(uint offset) => isReal ? __dword_ptr.es[offset] : __dword_ptr[Slot + offset];
    }

    // INIT, then start-up at 0x6000, to APIC id 1 (SDM 3A 11.6.1).
    private static void StartSecond(Assembler code)
    {
        code.mov(__dword_ptr[0xFEE0_00F0], 0x1FF);
        code.mov(__dword_ptr[0xFEE0_0310], 1 << 24);
        code.mov(__dword_ptr[0xFEE0_0300], 0x4500);
        code.mov(__dword_ptr[0xFEE0_0310], 1 << 24);
        code.mov(__dword_ptr[0xFEE0_0300], 0x4606);
    }
}
