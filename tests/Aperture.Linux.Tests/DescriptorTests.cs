using System.Text;

namespace Aperture.Linux.Tests;

public class DescriptorTests
{
    [Fact]
    public void A_failed_call_says_its_sentence_the_errors_name_and_its_words()
    {
        LinuxException failure = Assert.Throws<LinuxException>(() => FileDescriptors.Open("/nowhere/at/all", OpenFlags.ReadOnly));
        Assert.Equal("cannot open /nowhere/at/all: ENOENT (No such file or directory)", failure.Message);
        Assert.Equal(Errno.ENOENT, failure.Errno);
        Assert.Equal(ApertureException.HostFailure, failure.ExitCode);
    }

    [Fact]
    public void An_error_without_a_name_is_told_by_its_number() => Assert.Equal("errno 4000", Errno.Name(4000));

    [Fact]
    public void What_was_written_is_read_back()
    {
        using TemporaryFile scratch = new([]);
        string path = scratch.Path;
        using (SafeFileDescriptor file = FileDescriptors.Open(path, OpenFlags.ReadWrite))
        {
            Assert.Equal(5, FileDescriptors.TryWrite(file, "hello"u8));
        }

        using SafeFileDescriptor again = FileDescriptors.Open(path, OpenFlags.ReadOnly);
        byte[] buffer = new byte[16];
        Assert.Equal(5, FileDescriptors.TryRead(again, buffer));
        Assert.Equal("hello", Encoding.ASCII.GetString(buffer, 0, 5));
        Assert.Equal(0, FileDescriptors.TryRead(again, buffer));
        Assert.Equal(-Errno.EBADF, FileDescriptors.TryWrite(again, buffer));
    }

    [Fact]
    public void An_eventfd_counts_its_signals_and_is_taken_once()
    {
        using EventFd counter = new();
        Assert.False(counter.TryTake(out _));
        counter.Signal();
        counter.Signal();
        Assert.True(counter.TryTake(out ulong count));
        Assert.Equal(2UL, count);
        Assert.False(counter.TryTake(out _));
    }

    [Fact]
    public void Poll_sees_the_one_descriptor_that_has_something_to_say()
    {
        using EventFd quiet = new();
        using EventFd loud = new();
        PollItem[] items = [new(quiet.Descriptor, PollEvents.Readable), new(loud.Descriptor, PollEvents.Readable)];
        Assert.Equal(0, Poll.Wait(items, 0));
        loud.Signal();
        Assert.Equal(1, Poll.Wait(items, 10_000));
        Assert.Equal(PollEvents.None, items[0].Seen);
        Assert.Equal(PollEvents.Readable, items[1].Seen);
    }

    [Fact]
    public void A_signal_sent_to_a_thread_that_blocks_it_waits_there_until_taken()
    {
        Exception? failure = null;
        Thread thread = new(() =>
        {
            try
            {
                ulong before = Signals.BlockOnThisThread(Signals.VcpuKick);
                Assert.Equal(0UL, before >> (Signals.VcpuKick - 1) & 1);
                Assert.False(Signals.TryTake(Signals.VcpuKick));
                Assert.True(Signals.SendToThread(Signals.CurrentThreadId(), Signals.VcpuKick));
                Assert.True(Signals.TryTake(Signals.VcpuKick));
                Assert.False(Signals.TryTake(Signals.VcpuKick));
                Assert.NotEqual(0UL, Signals.BlockOnThisThread(Signals.VcpuKick) >> (Signals.VcpuKick - 1) & 1);
            }
            catch (Exception caught)
            {
                failure = caught;
            }
        });
        thread.Start();
        thread.Join();
        Assert.Null(failure);
    }

    [Fact]
    public void Raw_mode_is_put_back_exactly_and_only_once()
    {
        Assert.SkipUnless(File.Exists("/dev/ptmx"), "needs pseudo terminals");
        using SafeFileDescriptor terminal = FileDescriptors.Open("/dev/ptmx", OpenFlags.ReadWrite);
        Assert.True(Terminal.IsTerminal(terminal));
        byte[] before = Terminal.Snapshot(terminal);
        TerminalMode outer = Terminal.EnterRawMode(terminal);
        byte[] raw = Terminal.Snapshot(terminal);
        Assert.NotEqual(before, raw);
        outer.Dispose();
        Assert.Equal(before, Terminal.Snapshot(terminal));

        TerminalMode second = Terminal.EnterRawMode(terminal, keepSignals: true);
        Assert.NotEqual(raw, Terminal.Snapshot(terminal));
        outer.Dispose();
        Assert.NotEqual(before, Terminal.Snapshot(terminal));
        second.Dispose();
        Assert.Equal(before, Terminal.Snapshot(terminal));
    }

    [Fact]
    public void What_is_no_terminal_says_so()
    {
        using SafeFileDescriptor file = FileDescriptors.Open("/dev/null", OpenFlags.ReadWrite);
        Assert.False(Terminal.IsTerminal(file));
        Assert.False(Terminal.TryGetSize(file, out _, out _));
        Assert.Equal(Errno.ENOTTY, Assert.Throws<LinuxException>(() => Terminal.EnterRawMode(file)).Errno);
    }
}
