using System.Collections.Concurrent;

namespace Aperture.Linux.Tests;

public sealed class OutputFilesTests : IDisposable
{
    private readonly TemporaryFolder _folder = new();
    private readonly BlockingCollection<string> _told = [];

    private static CancellationToken TestEnd => TestContext.Current.CancellationToken;

    public void Dispose()
    {
        _folder.Dispose();
        _told.Dispose();
    }

    [Fact]
    public void A_file_is_made_or_emptied_also_behind_a_link_and_nothing_is_waited_for()
    {
        OutputFiles files = new(_told.Add, new CancellationToken(canceled: true));
        string link = _folder.Link("link", "file");
        foreach (string path in new[] { _folder.In("file"), link })
        {
            using (FileStream file = files.Create(path, FileShare.Read))
            {
                file.Write("12"u8);
            }

            Assert.Equal("12", File.ReadAllText(_folder.In("file")));
        }

        using (FileStream null0 = files.Create("/dev/null", FileShare.ReadWrite))
        {
            null0.Write("12"u8);
        }

        Assert.Throws<DirectoryNotFoundException>(() => files.Create(_folder.In("no/file"), FileShare.Read));
        Assert.Throws<UnauthorizedAccessException>(() => files.Create(_folder.Path, FileShare.Read));
        Assert.Empty(_told);
    }

    [Fact]
    public async Task A_pipe_that_somebody_reads_is_opened_at_once()
    {
        string pipe = _folder.Pipe("pipe");
        Task<string> reader = Task.Run(() => File.ReadAllText(pipe), TestEnd);
        using (FileStream file = new OutputFiles(_told.Add, TestEnd).Create(pipe, FileShare.Read))
        {
            file.Write("12"u8);
        }

        Assert.Equal("12", await reader);
    }

    [Fact]
    public async Task A_pipe_that_nobody_reads_is_waited_for_with_one_sentence()
    {
        string pipe = _folder.Link("link", _folder.Pipe("pipe"));
        OutputFiles files = new(_told.Add, TestEnd);
        Task<FileStream> opened = Task.Run(() => files.Create(pipe, FileShare.Read), TestEnd);
        Assert.Equal($"{pipe} is a pipe that nobody reads: waiting for a reader.", _told.Take(TestEnd));
        Task<string> reader = Task.Run(() => File.ReadAllText(pipe), TestEnd);
        await using (FileStream file = await opened)
        {
            file.Write("12"u8);
        }

        Assert.Equal("12", await reader);
        Assert.Empty(_told);
    }

    [Fact]
    public async Task A_wait_ends_when_it_is_cancelled_and_the_next_one_does_not_begin()
    {
        string pipe = _folder.Pipe("pipe");
        using CancellationTokenSource end = CancellationTokenSource.CreateLinkedTokenSource(TestEnd);
        OutputFiles files = new(_told.Add, end.Token);
        Task<FileStream> opened = Task.Run(() => files.Create(pipe, FileShare.Read), TestEnd);
        _told.Take(TestEnd);
        await end.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => opened);
        Assert.ThrowsAny<OperationCanceledException>(() => files.Create(pipe, FileShare.Read));
    }
}
