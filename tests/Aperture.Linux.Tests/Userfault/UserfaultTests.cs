using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using Aperture.Linux.Userfault;

namespace Aperture.Linux.Tests.Userfault;

public class UserfaultTests
{
    private const ulong Page = 4096;

    [Fact]
    public void Structures_and_numbers_are_those_of_the_kernels_headers()
    {
        Assert.SkipUnless(CProbe.HasCompiler, "needs gcc and the kernel's headers (packages gcc and linux-libc-dev)");
        (string Name, ulong Ours)[] numbers =
        [
            ("USERFAULTFD_IOC_NEW", (ulong)UserfaultRequest.New), ("UFFDIO_API", (ulong)UserfaultRequest.Api),
            ("UFFDIO_REGISTER", (ulong)UserfaultRequest.Register), ("UFFDIO_WAKE", (ulong)UserfaultRequest.Wake),
            ("UFFD_API", UserfaultNumber.Api), ("UFFD_FEATURE_EVENT_REMAP", UserfaultNumber.EventRemap),
            ("UFFDIO_REGISTER_MODE_MISSING", UserfaultNumber.RegisterMissing),
            ("UFFD_EVENT_PAGEFAULT", (ulong)UserfaultEvent.PageFault), ("UFFD_EVENT_REMAP", (ulong)UserfaultEvent.Remap),
            ("O_CLOEXEC", UserfaultNumber.CloseOnExec), ("O_NONBLOCK", UserfaultNumber.NonBlock),
            ("MREMAP_MAYMOVE", MemoryMap.MremapMayMove), ("MREMAP_FIXED", MemoryMap.MremapFixed), ("MREMAP_DONTUNMAP", MemoryMap.MremapDontUnmap),
            ("sizeof(struct uffd_msg)", Size<UserfaultMessage>()), ("sizeof(struct uffdio_api)", Size<UserfaultApi>()),
            ("sizeof(struct uffdio_register)", Size<UserfaultRegister>()), ("sizeof(struct uffdio_range)", Size<UserfaultRange>()),
            ("offsetof(struct uffd_msg, event)", Offset<UserfaultMessage>(nameof(UserfaultMessage.What))),
            ("offsetof(struct uffd_msg, arg.pagefault.address)", Offset<UserfaultMessage>(nameof(UserfaultMessage.FaultAddress))),
            ("offsetof(struct uffdio_api, features)", Offset<UserfaultApi>(nameof(UserfaultApi.Features))),
            ("offsetof(struct uffdio_range, len)", Offset<UserfaultRange>(nameof(UserfaultRange.Length))),
            ("offsetof(struct uffdio_register, mode)", Offset<UserfaultRegister>(nameof(UserfaultRegister.Mode))),
        ];
        IReadOnlyDictionary<string, ulong> theirs = CProbe.Evaluate(numbers.Select(n => n.Name), "linux/userfaultfd.h");
        Assert.Empty(numbers.Where(n => theirs[n.Name] != n.Ours).Select(n => $"{n.Name} is {theirs[n.Name]}, not {n.Ours}"));
        if (RuntimeInformation.ProcessArchitecture == Architecture.X64)
        {
            Assert.Equal((ulong)UserfaultNumber.CallX64, CProbe.Evaluate(["__NR_userfaultfd"], "asm/unistd.h")["__NR_userfaultfd"]);
        }
    }

    [Fact]
    public void Who_touches_a_missing_page_waits_until_something_is_there_and_it_is_woken()
    {
        int errno = UserfaultDescriptor.TryOpen(out UserfaultDescriptor? fault);
        Assert.SkipUnless(errno == 0, $"this user may not have a userfaultfd: {Errno.Name(errno)}");
        using (fault)
        {
            Assert.Equal(0, MemoryMap.MapPrivateMemory(2 * Page, 0, out HostAddress window));
            Assert.Equal(0, fault!.Register(window, 2 * Page));
            byte[] seen = new byte[4];
            Aside<int> touch = Aside.Run(() => GuardedCopy.TryRead(window + Page, seen));
            Assert.Equal(1, Poll.Wait([new PollItem(fault.File, PollEvents.Readable)], 20_000));
            UserfaultMessage[] messages = new UserfaultMessage[4];
            Assert.Equal(1, fault.Take(messages));
            Assert.Equal((UserfaultEvent.PageFault, window + Page), (messages[0].Event, messages[0].Address));
            Assert.False(touch.IsOver);
            Assert.Equal(0, MemoryMap.ReplaceByOnes(window + Page, Page));
            Assert.Equal(0, fault.Wake(window + Page, Page));
            Assert.Equal((0, 0xFFFFFFFFu), (touch.Result, BitConverter.ToUInt32(seen)));
            Assert.Equal(0, MemoryMap.Unmap(window, 2 * Page));
        }
    }

    [Fact]
    public void What_is_moved_and_kept_is_registered_in_both_places_and_the_mover_waits_for_the_reader()
    {
        int errno = UserfaultDescriptor.TryOpen(out UserfaultDescriptor? fault);
        Assert.SkipUnless(errno == 0, $"this user may not have a userfaultfd: {Errno.Name(errno)}");
        using (fault)
        {
            Assert.Equal(0, MemoryMap.MapPrivateMemory(Page, 0, out HostAddress window));
            Assert.Equal(0, MemoryMap.MapPrivateMemory(Page, 0, out HostAddress spare));
            Assert.Equal(0, fault!.Register(spare, Page));
            UserfaultMessage[] messages = new UserfaultMessage[4];
            for (int round = 0; round < 3; round++)
            {
                Aside<int> move = Aside.Run(() => MemoryMap.MoveAndKeep(spare, Page, window));
                Assert.Equal(UserfaultEvent.Remap, Next(fault, messages));
                Assert.Equal(0, move.Result);
                foreach (HostAddress place in new[] { window, spare })
                {
                    Aside<int> touch = Aside.Run(() => GuardedCopy.TryRead(place, new byte[1]));
                    Assert.Equal(UserfaultEvent.PageFault, Next(fault, messages));

                    // What came to be there is not registered: no event, and no fault.
                    Assert.Equal(0, MemoryMap.ReplaceByOnes(place, Page));
                    Assert.Equal(0, fault.Wake(place, Page));
                    Assert.Equal(0, touch.Result);
                    if (place == spare)
                    {
                        Assert.Equal(0, MemoryMap.Unmap(spare, Page));
                        Assert.Equal(0, MemoryMap.MapPrivateMemory(Page, 0, out spare));
                        Assert.Equal(0, fault.Register(spare, Page));
                    }
                }
            }

            Assert.Equal(0, MemoryMap.Unmap(window, Page));
            Assert.Equal(0, MemoryMap.Unmap(spare, Page));
        }
    }

    private static UserfaultEvent Next(UserfaultDescriptor fault, UserfaultMessage[] messages)
    {
        Assert.Equal(1, Poll.Wait([new PollItem(fault.File, PollEvents.Readable)], 20_000));
        Assert.Equal(1, fault.Take(messages));
        return messages[0].Event;
    }

    private static ulong Size<T>() => (ulong)Unsafe.SizeOf<T>();

    private static ulong Offset<T>(string field) => (ulong)Marshal.OffsetOf<T>(field);
}
